"""Draws of plans and budgets, repeated with numpy alone, and the choice of annotators."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mandseg.data.case import Case
from mandseg.noise import Panel
from mandseg.noise.applied import NUMBERS
from mandseg.noise.clean_budget import order_of, with_clean_budget
from mandseg.noise.label_plan import Label, LabelPlan, cases_of_annotators, noisy_order, plan_noise
from mandseg.system.checksums import write_checksum
from mandseg.system.errors import UserError

DRAWN_BY = {f"case_{k}": "abbcccc"[k] for k in range(7)}


def order_by_position(seed, stream):
    """Each annotator's shuffled cases at equal distances in (0, 1), from a random start."""
    rng = np.random.default_rng([seed, stream])
    places = []
    for cases in (["case_0"], ["case_1", "case_2"], ["case_3", "case_4", "case_5", "case_6"]):
        shuffled = rng.permutation(cases)
        places += zip(rng.uniform() / len(cases) + np.arange(len(cases)) / len(cases), shuffled, strict=True)
    return tuple(str(case) for _, case in sorted(places))


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_noise_is_drawn_as_stated_from_its_own_stream(seed):
    assert noisy_order(DRAWN_BY, seed) == order_by_position(seed, int.from_bytes(b"nois"))
    assert noisy_order(DRAWN_BY, seed, 5) == order_by_position(seed, 5)
    plan = plan_noise(DRAWN_BY, 0.5, seed)
    assert plan.order == noisy_order(DRAWN_BY, seed)
    assert plan.noisy == set(plan.order[:4])  # 3.5 is rounded to the even number
    assert {label.annotator for label in plan.labels.values() if label.kind == "reference"} <= set("abc")


def test_every_beginning_of_the_order_has_nearly_the_shares_of_all():
    drawn_by = {f"c{k:03d}": "aab"[k % 3] for k in range(90)}
    order = noisy_order(drawn_by, 0)
    for n in range(1, 91):
        assert sum(drawn_by[case] == "b" for case in order[:n]) == pytest.approx(n / 3, abs=1.01)


def test_a_plan_is_written_with_trust_only_where_a_case_is_trusted():
    labels = {"a": Label("noisy", "x"), "b": Label("reference", "y", trusted=True)}
    assert LabelPlan(labels, ("a", "b")).to_csv() == "case_id,annotator,label,trusted\na,x,noisy,0\nb,y,reference,1\n"
    assert LabelPlan(labels, ("a", "b")).trusted == ("b",)


class ByName:
    """Recorded labels: the subject is the annotator."""

    def annotator(self, case):
        return case.subject_id


CASES = [Case(f"c{k}", name, "train", Path("i"), None) for k, name in enumerate(["ann", "bob", "ann", "cid", ""])]


@pytest.mark.parametrize(
    ("annotators", "leave_out", "kept"),
    [
        (None, None, "c0 c1 c2 c3 c4"),
        (["ann"], None, "c0 c2"),
        (["ann", "cid"], None, "c0 c2 c3"),
        (None, "ann", "c1 c3 c4"),
        (["ann", "bob"], "ann", "c1"),
    ],
)
def test_cases_are_kept_by_who_drew_their_noisy_label(annotators, leave_out, kept):
    chosen = cases_of_annotators(CASES, ByName(), annotators, leave_out)
    assert [case.case_id for case in chosen] == kept.split()


@pytest.mark.parametrize(
    ("annotators", "leave_out", "words"),
    [
        (["dan"], None, "noise.annotators: no annotator is called 'dan', the names are ann, bob, cid"),
        (["zoe", "dan"], None, "noise.annotators: no annotator is called 'dan', the names are ann, bob, cid"),
        (None, "dan", "noise.leave_out: no annotator is called 'dan', the names are ann, bob, cid"),
        (["ann"], "ann", "noise.annotators=['ann'], noise.leave_out=ann: no training case is left of 5"),
    ],
)
def test_an_unknown_annotator_and_a_choice_without_cases_are_refused(annotators, leave_out, words):
    with pytest.raises(UserError) as refused:
        cases_of_annotators(CASES, ByName(), annotators, leave_out)
    assert str(refused.value) == words


def test_an_annotator_of_a_panel_who_drew_no_case_is_known(monkeypatch):
    panel = object.__new__(Panel)
    monkeypatch.setattr(Panel, "names", ("ann", "zoe"), raising=False)
    monkeypatch.setattr(Panel, "annotator", lambda _, case: case.subject_id)
    assert cases_of_annotators(CASES, panel, None, "zoe") == tuple(CASES)
    with pytest.raises(UserError, match="no training case is left of 5"):
        cases_of_annotators(CASES, panel, ["zoe"], None)


def prepared(folder, case_id, dice, reference=True):
    """A case whose noisy label has this Dice."""
    file = folder / f"{case_id}.applied.json"
    file.write_text(json.dumps(dict.fromkeys(NUMBERS, 0.0) | {"dice": dice}))
    write_checksum(file, f"{folder.name}/{file.name}")
    case = Case(case_id, case_id, "train", Path("x"), Path("y") if reference else None)
    labels = dict.fromkeys(("noisy", "reference"), np.ones((2, 2, 2), np.uint8))
    return SimpleNamespace(
        case=case, annotator="x", folder=folder, noisy_file=folder / f"{case_id}.npy", image=labels["noisy"], **labels
    )


def test_a_random_budget_is_drawn_from_its_own_stream(tmp_path):
    training = [prepared(tmp_path, f"c{k}", 0.5) for k in range(9, -1, -1)]
    plan = plan_noise({one.case.case_id: "x" for one in training}, 1.0, 3)
    drawn = np.random.default_rng([3, int.from_bytes(b"clean")]).permutation([f"c{k}" for k in range(10)])
    assert list(order_of("random", plan, training, 3)) == drawn.tolist()
    assert set(with_clean_budget(plan, training, 0.34, "random", 3).trusted) == set(drawn[:3])
    assert order_of("stratified", plan, training, 3) == noisy_order(
        {one.case.case_id: "x" for one in training}, 3, int.from_bytes(b"clean")
    )


def test_the_oracle_orders_by_dice_then_by_name_and_puts_references_last(tmp_path):
    training = [prepared(tmp_path, name, dice) for name, dice in zip("edcba", (0.9, 0.2, 0.9, 0.1, 0.3), strict=True)]
    plan = LabelPlan({c: Label("reference" if c == "b" else "noisy", "x") for c in "edcba"}, tuple("abcde"))
    assert order_of("oracle", plan, training, 0) == ["d", "a", "c", "e", "b"]


def test_the_oracle_counts_a_corrected_label_as_right(tmp_path):
    training = [prepared(tmp_path, name, 0.5) for name in "ab"]
    plan = LabelPlan({"a": Label("corrected", "x"), "b": Label("noisy", "x")}, ("a", "b"))
    assert order_of("oracle", plan, training, 0) == ["b", "a"]


def test_a_share_counts_all_training_cases_and_a_number_of_cases_may_be_one(tmp_path):
    training = [prepared(tmp_path, f"c{k}", 0.5, reference=k < 4) for k in range(8)]
    plan = plan_noise({one.case.case_id: "x" for one in training}, 1.0, 0)
    assert len(with_clean_budget(plan, training, 0.5, "random", 0).trusted) == 4
    assert len(with_clean_budget(plan, training, 1, "random", 0).trusted) == 1
    with pytest.raises(UserError) as refused:
        with_clean_budget(plan, training, 1.0, "random", 0)
    assert str(refused.value) == (
        "clean_budget=1.0: 8 cases, but 4 of 8 training cases have a reference; expected at most 4"
    )


def test_a_trusted_case_loses_its_corrected_file(tmp_path):
    training = [prepared(tmp_path, "a", 0.5)]
    plan = plan_noise({"a": "x"}, 1.0, 0).replaced({"a": tmp_path / "a.npy"})
    trusted = with_clean_budget(plan, training, 1, "random", 0)
    assert trusted.labels == {"a": Label("reference", "x", trusted=True)}


@pytest.mark.parametrize(("n", "more"), [(1, ""), (2, " and 1 more"), (3, " and 2 more")])
def test_cases_that_a_ranking_lacks_are_counted(tmp_path, n, more):
    training = [prepared(tmp_path, name, 0.5) for name in "abcd"]
    file = tmp_path / "ranking.csv"
    file.write_text("case_id\n" + "\n".join("dcba"[: 4 - n]) + "\n")
    with pytest.raises(UserError) as refused:
        order_of(str(file), plan_noise(dict.fromkeys("abcd", "x"), 1.0, 0), training, 0)
    assert str(refused.value) == f"ranking={file}: does not rank the training case a{more}"


def test_a_case_that_is_ranked_twice_counts_at_its_first_row(tmp_path):
    training = [prepared(tmp_path, name, 0.5) for name in "abc"]
    file = tmp_path / "ranking.csv"
    file.write_text("case_id\nc\na\nc\nz\nb\n")
    assert order_of(str(file), plan_noise(dict.fromkeys("abc", "x"), 1.0, 0), training, 0) == ["c", "a", "b"]
