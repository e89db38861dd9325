"""Stages: their steps add up to the run's, impossible ones are refused, and labels are one complete folder."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mandseg.data.case import Case
from mandseg.data.splits import fold_of_cases
from mandseg.noise.label_plan import Label, LabelPlan, plan_noise
from mandseg.system.errors import UserError
from mandseg.training.stages import (
    Span,
    Stage,
    check_stages,
    plan_of_stage,
    read_plan,
    relabel_stage,
    spans,
    write_plan,
)

CASES = [Case(f"c{k}", f"c{k}", "train", Path(f"c{k}.nii.gz"), None) for k in range(6)]
PLAN = plan_noise({f"c{k}": f"a{k % 2}" for k in range(6)}, 0.5, 0)


def test_one_stage_has_all_steps_and_all_validations():
    assert spans([Stage("train", 1.0)], 400, 2) == [Span(0, 400, 200)]


def test_stages_follow_each_other_and_each_ends_in_a_validation():
    assert spans([Stage("warm-up", 0.25), Stage("corrected", 0.75)], 12, 3) == [Span(0, 3, 3), Span(3, 9, 9)]
    assert spans([Stage("warm-up", 1 / 3), Stage("corrected", 2 / 3)], 12, 3) == [Span(0, 4, 4), Span(4, 8, 4)]


@example([3, 2, 7], 1, 6)  # ends at 1.5 and 2.5 steps
@given(st.lists(st.integers(1, 10), min_size=1, max_size=5), st.integers(1, 20), st.integers(1, 20))
def test_the_stages_have_exactly_the_steps_of_the_run(weights, validations, per_validation):
    steps = validations * per_validation
    stages = [Stage(f"s{k}", weight / sum(weights)) for k, weight in enumerate(weights)]
    assume(min(weights) / sum(weights) * steps >= 1)
    found = spans(stages, steps, validations)
    assert [span.first_step for span in found] == np.cumsum([0, *(span.steps for span in found)])[:-1].tolist()
    assert sum(span.steps for span in found) == steps
    assert all(span.steps % span.steps_per_epoch == 0 for span in found)


@pytest.mark.parametrize(
    ("steps", "validations", "line"),
    [
        ("abc", 2, "steps=abc: expected a whole number"),
        (10, 0, "validations=0: expected"),
        (5, 2, "steps=5 cannot be divided evenly by validations=2"),
        (2, 2, "stage 'short' has share=0.1 of steps=2, no step"),
    ],
)
def test_steps_that_cannot_be_divided_are_refused(steps, validations, line):
    with pytest.raises(UserError, match=line):
        spans([Stage("long", 0.9), Stage("short", 0.1)], steps, validations)


def no_labels(cases, plan, predictor, folder):
    return plan


@pytest.mark.parametrize(
    ("stages", "line"),
    [
        ([], "expected one stage or more"),
        ([Stage("a", 1.0, relabel=no_labels)], "the first without relabel"),
        ([Stage("a", 0.5), Stage("a", 0.5)], "stage 'a': expected names .* each once"),
        ([Stage("a/b", 1.0)], "stage 'a/b': expected names of letters"),
        ([Stage("", 1.0)], "stage '': expected names"),
        ([Stage("a", 0.5), Stage("b", 0.4)], "the shares add up to 0.9, expected 1"),
        ([Stage("a", 1.5), Stage("b", -0.5)], "stage 'b': share=-0.5, expected more than 0"),
        (
            [Stage("a", 0.5, "new", fold=[1, 2]), Stage("b", 0.5)],
            "stage 'b': .* the stages of all folds follow",
        ),
        ([Stage("a", 1.0, "new", fold=[1, 2])], r"the stage of the fold \[2, 2\] is missing"),
        ([Stage("a", 1.0, "new", fold=[2, 3])], r"stage 'a': fold=\[2, 3\], expected \[1, 2\]"),
        ([Stage("a", 0.5, "new", fold=[1, 2]), Stage("b", 0.5, fold=[2, 2])], "stage 'b': .* with start: new"),
        ([Stage("a", 1.0, start="old")], "stage 'a': start=old, expected new or former"),
    ],
)
def test_stages_that_are_no_training_are_refused(stages, line):
    with pytest.raises(UserError, match=line):
        check_stages(stages)


def test_a_stage_of_trusted_cases_is_trained_on_them_alone():
    labels = dict(PLAN.labels) | {"c4": Label("reference", "a0", trusted=True)}
    fine_tuning = Stage("fine-tuning", 0.2, trusted_only=True)
    assert list(plan_of_stage(fine_tuning, LabelPlan(labels, PLAN.order), CASES, 0).labels) == ["c4"]
    assert plan_of_stage(Stage("train", 0.8), PLAN, CASES, 0) is PLAN
    with pytest.raises(UserError, match="stage fine-tuning: trained on trusted cases only, and the label plan"):
        plan_of_stage(fine_tuning, PLAN, CASES, 0)


def test_every_case_is_held_out_by_one_fold_and_by_the_same_one_in_any_stage():
    stages = [Stage(f"fold-{k}", 0.5, "new", fold=[k, 3]) for k in (1, 2, 3)]
    own = fold_of_cases(CASES, 3, 0)
    for number, stage in enumerate(stages):
        trained = plan_of_stage(stage, PLAN, CASES, 0)
        assert set(trained.labels) == {case for case in PLAN.labels if own[case] != number}
    assert sorted(own.values()) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(UserError, match="7 folds of 6 subjects: expected 2 or more, and a subject for each"):
        plan_of_stage(Stage("a", 0.5, "new", fold=[1, 7]), PLAN, CASES, 0)


def corrects(case_id):
    """A relabelling of one case, whose corrected label it trusts."""

    def relabel(cases, plan, predictor, folder):
        np.save(folder / f"{case_id}.npy", np.ones((2, 2, 2), np.uint8))
        new = plan.replaced({case_id: folder / f"{case_id}.npy"})
        label = Label("corrected", new.labels[case_id].annotator, True, new.labels[case_id].file)
        return LabelPlan(dict(new.labels) | {case_id: label}, new.order)

    return relabel


def test_labels_of_a_stage_are_read_back_as_they_were_made(tmp_path):
    relabel_stage(Stage("corrected", 0.5, relabel=corrects("c1")), [], PLAN, None, tmp_path / "labels")
    found = read_plan(tmp_path / "labels", PLAN.order)
    assert found.labels["c1"] == Label("corrected", "a1", True, tmp_path / "labels" / "c1.npy")
    assert {case: label for case, label in found.labels.items() if case != "c1"} == {
        case: label for case, label in PLAN.labels.items() if case != "c1"
    }
    assert (list(found.labels), found.order) == (list(PLAN.labels), PLAN.order)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels"]


@pytest.mark.parametrize("where", ["relabelling", "check"])
def test_labels_that_are_not_finished_leave_nothing(tmp_path, where):
    def fails(*_):
        raise RuntimeError("stopped")

    stage = Stage("corrected", 0.5, relabel=fails if where == "relabelling" else corrects("c1"))
    with pytest.raises(RuntimeError, match="stopped"):
        relabel_stage(stage, [], PLAN, None, tmp_path / "labels", fails if where == "check" else lambda: None)
    assert list(tmp_path.iterdir()) == []


def test_a_corrected_label_outside_the_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"case c0: the corrected label .* does not lie in"):
        write_plan(PLAN.replaced({"c0": tmp_path / "elsewhere" / "c0.npy"}), tmp_path)
