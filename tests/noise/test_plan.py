"""The noise plan: exact counts, nested, stratified, and a function of the seed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandseg.noise.label_plan import plan_noise

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
