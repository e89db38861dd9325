"""The noise plan: exact counts, nested, stratified, and a function of the seed."""

import hashlib
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandseg.data.case import Case
from mandseg.noise.label_plan import Label, plan_noise
from mandseg.system.errors import UserError

PANEL = {f"case_{k:02d}": f"annotator_{k % 4}" for k in range(40)}


@given(ratio=st.floats(0, 1), n=st.integers(1, 60), seed=st.integers(0, 2**31))
def test_exactly_the_rounded_share_of_cases_is_noisy(ratio, n, seed):
    annotators = {f"c{k}": f"a{k % 3}" for k in range(n)}
    assert len(plan_noise(annotators, ratio, seed).noisy) == round(ratio * n)


@given(low=st.floats(0, 1), high=st.floats(0, 1), seed=st.integers(0, 1000))
def test_noisy_cases_are_nested_across_ratios(low, high, seed):
    low, high = sorted((low, high))
    assert plan_noise(PANEL, low, seed).noisy <= plan_noise(PANEL, high, seed).noisy


@pytest.mark.parametrize("seed", range(5))
def test_each_annotator_has_a_fair_share_of_the_noisy_cases(seed):
    noisy = plan_noise(PANEL, 0.5, seed).noisy
    assert Counter(PANEL[case] for case in noisy) == {f"annotator_{k}": 5 for k in range(4)}


def test_the_seed_decides_and_the_order_of_the_manifest_does_not():
    shuffled = dict(sorted(PANEL.items(), reverse=True))
    assert plan_noise(PANEL, 0.3, 1).noisy == plan_noise(shuffled, 0.3, 1).noisy
    assert plan_noise(PANEL, 0.3, 1).noisy != plan_noise(PANEL, 0.3, 2).noisy
    assert plan_noise(PANEL, 0.3, 1).digest != plan_noise(PANEL, 0.3, 2).digest


def test_the_plan_is_written_as_a_table(tmp_path):
    plan = plan_noise({"a": "x", "b": "x"}, 0.5, 0)
    plan.write(tmp_path / "noise_plan.csv")
    rows = (tmp_path / "noise_plan.csv").read_text().splitlines()
    assert rows[0] == "case_id,annotator,label"
    assert sorted(row.split(",")[2] for row in rows[1:]) == ["noisy", "reference"]


def prepared(case_id, noisy=True):
    """A case of 2 x 2 x 2 voxels, its reference 0 and its noisy label 1."""
    labels = np.zeros((2, 2, 2), np.uint8), np.ones((2, 2, 2), np.uint8) if noisy else None
    case = Case(case_id, case_id, "train", None, None)
    return SimpleNamespace(case=case, image=np.zeros((2, 2, 2), np.int16), reference=labels[0], noisy=labels[1])


def test_a_first_plan_is_hashed_by_its_table_as_studies_before_it_were():
    plan = plan_noise({"a": "x", "b": "y"}, 1.0, 0)
    table = "case_id,annotator,label\na,x,noisy\nb,y,noisy\n"
    assert plan.to_csv() == table
    assert plan.digest == hashlib.sha256(table.encode()).hexdigest()[:12]


def test_the_label_of_a_case_is_that_of_the_plan(tmp_path):
    plan = plan_noise({"a": "x", "b": "x"}, 0.5, 0)
    (noisy,) = plan.noisy
    (clean,) = {"a", "b"} - plan.noisy
    np.save(tmp_path / "c.npy", np.full((2, 2, 2), 1, np.uint8))
    assert plan.label_of(prepared(noisy)).all()
    assert not plan.label_of(prepared(clean)).any()
    corrected = plan.replaced({clean: tmp_path / "c.npy"})
    assert corrected.label_of(prepared(clean)).all()
    assert corrected.labels[clean] == Label("corrected", "x", False, tmp_path / "c.npy")
    assert corrected.labels[noisy] == plan.labels[noisy]
    assert (corrected.noisy, corrected.order) == (plan.noisy, plan.order)


def test_a_label_that_is_not_there_or_lies_on_another_grid_is_refused(tmp_path):
    plan = plan_noise({"a": "x"}, 1.0, 0)
    with pytest.raises(UserError, match="case a: the noise plan needs a noisy label, but the case has none"):
        plan.label_of(prepared("a", noisy=False))
    np.save(tmp_path / "a.npy", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UserError, match=r"case a: shape \(2, 2, 3\) of the corrected label .* \(2, 2, 2\)"):
        plan.replaced({"a": tmp_path / "a.npy"}).label_of(prepared("a"))
    with pytest.raises(UserError, match="case z: has a corrected label, but is not in the label plan"):
        plan.replaced({"z": tmp_path / "a.npy"})


def test_the_hash_follows_the_content_of_corrected_labels_and_not_their_place(tmp_path):
    plan, digests = plan_noise({"a": "x", "b": "x"}, 0.5, 0), []
    for name, value in (("one", 0), ("two", 0), ("three", 1)):
        np.save(tmp_path / f"{name}.npy", np.full((2, 2, 2), value, np.uint8))
        digests.append(plan.replaced({"a": tmp_path / f"{name}.npy"}).digest)
    assert digests[0] == digests[1]
    assert len({plan.digest, *digests}) == 3


def test_a_part_of_a_plan_keeps_labels_and_order():
    plan = plan_noise(PANEL, 0.5, 0)
    some = plan.only(["case_31", "case_05", "case_12"])
    assert list(some.labels) == ["case_05", "case_12", "case_31"]
    assert some.order == tuple(case for case in plan.order if case in some.labels)
    assert some.noisy == plan.noisy & set(some.labels)
