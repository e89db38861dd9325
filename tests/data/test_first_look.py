"""CTs of different patients are told apart before they are aligned, and no CT of one patient is lost by it."""

import numpy as np
import pytest

from mandseg.data.same_patient import alike_cts, search
from mandseg.data.same_patient.fingerprint import Fingerprint, fingerprint
from mandseg.data.same_patient.first_look import Place, most_alike
from patients import scan


def taken(seed: int, **options: object) -> Fingerprint:
    given = scan(seed, **options)  # type: ignore[arg-type]
    known = fingerprint(given.label, given.image)
    assert known is not None
    return known


def place(first: Fingerprint, second: Fingerprint, off: tuple[int, int, int] = (0, 0, 0)) -> Place:
    """Where the CTs are most alike, looked for from the labels' anchors and some steps off."""
    return most_alike(first, second, first.anchor - second.anchor + np.array(off))


@pytest.mark.parametrize("off", [(0, 0, 0), (1, -1, 1), (2, 0, -1)])
def test_one_patient_is_not_plainly_different_also_from_a_shift_that_is_off(off: tuple[int, int, int]) -> None:
    assert place(taken(1), taken(1, missing_mm=12.0), off).is_alike


def test_two_patients_are_plainly_different() -> None:
    cases = [taken(seed) for seed in range(6)]
    assert not any(place(a, b).is_alike for a in cases for b in cases if a is not b)


def test_cts_that_share_no_tissue_are_not_called_different() -> None:
    first, second = taken(1), taken(2)
    assert most_alike(first, second, np.array([0, 0, 99])).is_alike


def test_the_blocks_of_one_patient_are_alike_wherever_the_label_ends() -> None:
    """The correlation is 1 for one case, and the shift brings one anchor onto the other, within half a block."""
    first = [taken(seed) for seed in range(6)]
    second = [taken(seed, missing_mm=40.0, centre_mm=(6.0, -9.0, 30.0)) for seed in range(6)]
    values, shifts = alike_cts.correlations([a.blocks for a in first], [b.blocks for b in second])
    assert (values.argmax(axis=1) == np.arange(6)).all()
    assert (values.argmax(axis=0) == np.arange(6)).all()
    for number, (a, b) in enumerate(zip(first, second, strict=True)):
        moved_mm = 3.0 * (a.anchor - b.anchor + alike_cts.shift_of(shifts[number, number])) + a.origin_mm - b.origin_mm
        assert np.abs(moved_mm - [-6.0, 9.0, -30.0]).max() <= 7.5
    same, places = alike_cts.correlations([first[0].blocks], [first[0].blocks])
    assert same[0, 0] == pytest.approx(1, abs=1e-3)
    assert not alike_cts.shift_of(places[0, 0]).any()


def test_blocks_that_share_no_tissue_have_no_correlation() -> None:
    known = taken(1)
    assert known.blocks is not None
    above, below = known.image.copy(), known.image.copy()
    above[:, :, 16:] = below[:, :, :28] = -1000
    halves = [Fingerprint(known.label, half, known.origin_mm) for half in (above, below)]
    assert halves[0].anchor.tolist() == known.anchor.tolist()
    values, _ = alike_cts.correlations([halves[0].blocks], [halves[1].blocks])
    assert np.isnan(values[0, 0])
    blank = Fingerprint(known.label, np.full_like(known.image, -1000), known.origin_mm)
    assert np.isnan(alike_cts.correlations([blank.blocks, known.blocks], [blank.blocks])[0]).all()
    assert search.likely_pairs([known], [blank]) == {(0, 0): None}


def test_without_two_cts_the_labels_choose_the_pairs() -> None:
    cases = [taken(seed) for seed in range(4)]
    alone = [Fingerprint(each.label, None, each.origin_mm) for each in cases[:2]]
    assert alone[0].blocks is None
    assert search.likely_pairs(alone, cases) == dict.fromkeys(search.likely_pairs(alone, alone + cases[2:]))
    assert {(0, 0), (1, 1)} <= set(search.likely_pairs(alone, cases))


def test_only_pairs_with_alike_cts_are_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [taken(seed) for seed in range(12)], [taken(seed) for seed in range(11, 23)]
    aligned = []

    def counted(a: Fingerprint, b: Fingerprint, start: object = None) -> tuple[object, object]:
        aligned.append((a, b))
        return align(a, b, start)

    align = search.align
    monkeypatch.setattr(search, "align", counted)
    (match,) = search.find_matches(first, second)
    assert (match.first, match.second, match.likeness.verdict) == (11, 0, "certain")
    assert len(aligned) == 1
