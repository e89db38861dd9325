"""CTs of different patients are told apart before they are aligned, and no CT of one patient is lost by it."""

import numpy as np
import pytest

from mandseg.data.same_patient import search
from mandseg.data.same_patient.fingerprint import Fingerprint, fingerprint
from mandseg.data.same_patient.first_look import differ, tissue
from patients import scan


def taken(seed: int, **options: object) -> Fingerprint:
    given = scan(seed, **options)  # type: ignore[arg-type]
    known = fingerprint(given.label, given.image)
    assert known is not None
    return known


@pytest.mark.parametrize("off", [(0, 0, 0), (1, -1, 1), (2, 0, -1)])
def test_one_patient_is_not_plainly_different_also_from_a_shift_that_is_off(off: tuple[int, int, int]) -> None:
    first, second = taken(1), taken(1, missing_mm=12.0)
    shift = first.anchor - second.anchor + np.array(off)
    assert not differ(tissue(first), tissue(second), shift)


def test_two_patients_are_plainly_different() -> None:
    cases = [taken(seed) for seed in range(6)]
    pairs = [(a, b) for a in cases for b in cases if a is not b]
    assert all(differ(tissue(a), tissue(b), a.anchor - b.anchor) for a, b in pairs)


def test_without_two_cts_nothing_can_be_decided() -> None:
    first = taken(1)
    alone = Fingerprint(first.label, None, first.origin_mm)
    assert tissue(alone) is None
    assert not differ(tissue(first), tissue(alone), np.zeros(3, np.int64))


def test_only_pairs_with_alike_cts_are_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [taken(seed) for seed in range(12)], [taken(seed) for seed in range(11, 23)]
    aligned = []

    def counted(a: Fingerprint, b: Fingerprint) -> tuple[object, object]:
        aligned.append((a, b))
        return align(a, b)

    align = search.align
    monkeypatch.setattr(search, "align", counted)
    (match,) = search.find_matches(first, second)
    assert (match.first, match.second, match.likeness.verdict) == (11, 0, "certain")
    assert len(aligned) == 1
