"""Tables of scores, their notes, comparisons, contrasts and rows: small ones, written out by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mandseg.metrics.catalogue import metric_named
from mandseg.metrics.outcome import OUTCOMES
from mandseg.statistics.analysis import analyse
from mandseg.statistics.arm_notes import arm_notes
from mandseg.statistics.bootstrap import Resampling
from mandseg.statistics.comparison import RATIO_COMPARISON, Comparison
from mandseg.statistics.dataset_contrasts import contrast, shared_subjects
from mandseg.statistics.paired_tests import Pairs, pair, unpaired_seeds
from mandseg.statistics.results import Contrast, Crossing, CurvePoint, Difference, Mean, cut_to_possible
from mandseg.statistics.score_table import ScoreMatrix, ScoreTable, means_by_seed, paired_differences
from mandseg.statistics.tolerated_ratio import seeds_differ, tolerated_ratio, usable_pairs

DICE = metric_named("dice")
NAN = np.nan
QUICK = Resampling(n_resamples=200)


def matrix(values, seeds=None, subjects=None):
    values = np.array(values, float)
    names = tuple("abcdefgh"[: values.shape[1]])
    return ScoreMatrix(values, tuple(seeds or range(len(values))), names, tuple(subjects or names))


def test_seeds_and_cases_without_a_score_are_dropped():
    table = matrix([[1, NAN, 3], [NAN, NAN, NAN], [4, NAN, NAN]], seeds=(5, 6, 7), subjects="xyz")
    found = table.without_empty()
    np.testing.assert_array_equal(found.values, [[1, 3], [4, NAN]])
    assert (found.seeds, found.cases, found.subjects) == ((5, 7), ("a", "c"), ("x", "z"))
    whole = found.complete_cases()
    assert (whole.values.tolist(), whole.cases, whole.subjects) == ([[1], [4]], ("a",), ("x",))
    turned = table.select_seeds([7, 5])
    assert (turned.seeds, turned.values[0, 0], turned.values[1, 0]) == ((7, 5), 4, 1)


ONE_SEED = "one seed: the interval does not cover the variation between trainings"


@pytest.mark.parametrize(
    ("values", "subjects", "notes"),
    [
        ([[1.0] * 6] * 3, None, ()),
        ([[1.0] * 6], None, (ONE_SEED,)),
        ([[1.0] * 6] * 2, None, ("two seeds: the variation between trainings is hardly known",)),
        ([[1.0] * 5 + [NAN]] * 3, None, ("3 of 18 case-seed pairs are missing",)),
        ([[1.0] * 5] * 3, None, ("5 subjects: the interval assumes a normal distribution",)),
        ([[1.0]] * 3, None, ("one subject: no interval can be given",)),
        ([[1.0] * 7] * 3, "aabcdef", ("7 cases of 6 subjects, drawn by subject",)),
    ],
)
def test_notes_name_the_limits_of_the_numbers(values, subjects, notes):
    assert matrix(values, subjects=subjects).notes() == notes


def table_of(outcomes, dice, name="test", group="", subjects="abcd"):
    outcomes = np.array([[[OUTCOMES.index(o) if o else -1 for o in seed] for seed in level] for level in outcomes])
    return ScoreTable(
        *(name, group, 0, (0.0, 0.5)[: len(outcomes)], tuple(range(outcomes.shape[1]))),
        *(tuple("abcd"[: outcomes.shape[2]]), tuple(subjects[: outcomes.shape[2]])),
        *({"dice": np.array(dice, float)}, outcomes.astype(np.int8)),
    )


MIXED = table_of(
    [[["scored", "missed", "spurious", None]], [["scored", "scored", "missed", "both_empty"]]],
    [[[0.9, 0.0, 0.0, NAN]], [[0.5, 0.4, 0.0, 1.0]]],
)


def test_predictions_are_counted_by_level_and_outcome():
    counts = [
        (MIXED.count(level), MIXED.count(level, "missed"), MIXED.count(level, "spurious")) for level in (0.0, 0.5)
    ]
    assert counts == [(3, 1, 1), (4, 1, 0)]
    assert MIXED.n_faults == 3
    rest = "with worst-case scores: where they are rare, the interval is too narrow"
    assert MIXED.fault_notes(0.5, 0.0) == (f"2 missed and 1 spurious predictions count {rest}",)
    assert MIXED.fault_notes(0.5) == (f"1 missed prediction counts {rest}",)
    clean = MIXED.without_faults()
    np.testing.assert_array_equal(clean.values["dice"], [[[0.9, NAN, NAN, NAN]], [[0.5, 0.4, NAN, 1.0]]])
    assert (clean.n_faults, clean.fault_notes(0.0, 0.5), clean.count(0.0), clean.count(0.5)) == (0, (), 1, 3)
    part = MIXED.part(np.array([True, False, False, True]), "site=x")
    assert (part.group, part.cases, part.subjects) == ("site=x", ("a", "d"), ("a", "d"))
    np.testing.assert_array_equal(part.values["dice"], [[[0.9, NAN]], [[0.5, 1.0]]])


@pytest.mark.parametrize(
    ("outcomes", "dice", "reason"),
    [
        (["missed", "scored"], [0.0, 1.0], "1 of 2 predictions is empty"),
        (["missed", "scored", "scored"], [0.0, 0.6, 0.9], ""),
        (["scored", "scored"], [0.3, 0.6998], "mean Dice is 0.500"),
        (["scored", "scored"], [0.3, 0.7], ""),
        ([None, None], [NAN, NAN], ""),
    ],
)
def test_half_of_the_predictions_or_a_mean_dice_below_a_half_is_unlearned(outcomes, dice, reason):
    assert table_of([[outcomes]], [[dice]]).unlearned(0.0) == reason


def test_pairs_are_differences_of_common_seeds_and_name_what_was_left_out():
    found = pair(
        *(0.5, matrix([[3, 5, NAN], [1, 1, 1]], (2, 4)), matrix([[1, 1, 1], [9, 9, 9]], (2, 3))),
        *(RATIO_COMPARISON, QUICK, 0),
    )
    assert found.scores is not None
    assert (found.scores.values.tolist(), found.scores.seeds, found.difference) == ([[2, 4]], (2,), 3)
    assert found.notes[:2] == (
        "left out, not run at both ratios: seed 3, 4",
        "left out, not scored at both ratios: 1 of 3 cases",
    )
    none = pair("b", matrix([[1]], (2,)), matrix([[1]], (3,)), Comparison("method", "a"), QUICK, 0)
    assert (none.scores, none.notes) == (None, ("no seed was run at both levels: nothing can be paired",))
    none = pair("b", matrix([[NAN, 1]]), matrix([[1, NAN]]), Comparison("method", "a"), QUICK, 0)
    assert none.notes == ("no case was scored at both levels: nothing can be paired",)


def test_levels_without_a_seed_of_the_baseline_are_named_with_it():
    levels = {0.0: matrix([[1], [1]], (1, 2)), 0.2: matrix([[1]], (2,)), 0.5: matrix([[1]], (3,))}
    assert unpaired_seeds(levels, RATIO_COMPARISON) == {
        0.0: "seeds 1, 2 at noise ratio 0",
        0.5: "seed 3 at noise ratio 0.5",
    }
    del levels[0.5]
    assert unpaired_seeds(levels, RATIO_COMPARISON) == {}


def mean(low, high):
    return Mean("test", "dice", 0.0, 0.5, low, high, 1, 1, 1, 0, 0)


@pytest.mark.parametrize(
    ("baseline", "cut"),
    [([mean(0.1, 0.4)], (-0.4, 0.9)), ([mean(None, None)], (-1.0, 1.0)), ([], (-1.0, 1.0))],
)
def test_a_difference_ends_at_what_the_baseline_leaves(baseline, cut):
    wide = Difference("test", "dice", 0.5, low=-2.0, high=2.0, n_cases=1, n_seeds=1)
    none = Difference("test", "dice", 1.0)
    found = cut_to_possible([wide, none], DICE, baseline)
    assert [(row.low, row.high) for row in found] == [cut, (None, None)]


def test_a_difference_of_some_cases_does_not_end_at_the_baseline_of_all():
    rows = [{"noise_ratio": 0.0, "case_id": f"c{k}", "dice": 0.95 if k < 30 else 0.45} for k in range(34)]
    rows += [{"noise_ratio": 0.5, "case_id": f"c{k}", "dice": 0.85 + 0.001 * k} for k in range(30, 34)]
    cases = pd.DataFrame([row | {"seed": 0, "dataset": "test", "outcome": "scored"} for row in rows])
    (found,) = analyse(cases.assign(subject_id=cases.case_id), resampling=QUICK).differences_of("test", "dice")
    assert found.difference == pytest.approx(0.4315)
    assert found.low < found.difference < found.high


def test_a_crossing_in_words():
    points = (CurvePoint(0.5, -0.01, None, None), CurvePoint(1.0, -0.03, -0.04, -0.02))
    found = Crossing("test", "dice", 0.02, 0.754, 0.6, None, 1.0, points)
    assert found.words == "0.75 (0.60 to beyond 1)"
    assert Crossing("test", "dice", 0.02, None, None, None, 1.0, points).words == "beyond 1 (the whole interval)"
    assert Crossing("test", "dice", 0.02, 0.754, None, None, 1.0, points[:1]).words == "0.75 (no interval)"


def test_an_estimate_is_absent_where_the_smallest_ratio_cannot_be_compared():
    alone = Pairs(0.2, None, None, ("no seed was run at both ratios",))
    found = tolerated_ratio([Difference("test", "dice", 0.2)], [alone], DICE, 0.02, 0.025)
    assert (found.tolerated, found.estimate, found.low) == (None, None, None)
    assert found.notes == ("the smallest ratio cannot be compared, so no estimate can be given",)


def test_levels_are_ordered_with_the_baseline_first():
    assert RATIO_COMPARISON.ordered([1.0, 0.2, 0.0, 0.2, 0.5]) == (0.0, 0.2, 0.5, 1.0)
    assert RATIO_COMPARISON.ordered([1.0, 0.2]) == (0.2, 1.0)
    methods = Comparison("method", "b")
    assert methods.ordered(["z", "b", "a", "z"]) == ("b", "z", "a")
    assert (methods.name("a"), methods.name(""), RATIO_COMPARISON.name(0.2)) == (
        *("method a", "method without changes"),
        "noise ratio 0.2",
    )


def test_a_gap_of_one_seed_has_the_variances_of_both_sets_of_cases():
    """Welch's error: the variance of each mean, added; t quantiles weighted by the variances (Cochran 1964)."""
    away, home = np.array([[0.2, 0.6, 0.4, 0.8]]), np.array([[0.9, 0.7, 0.8]])
    found = contrast(Contrast("b", "a", "dice", 0.0), matrix(away), matrix(home), (1, 0), Resampling(20_000))
    assert (found.value, found.n_cases, found.n_reference_cases, found.n_seeds) == (pytest.approx(-0.3), 4, 3, 1)
    parts = np.array([away.var(ddof=1) / 4, home.var(ddof=1) / 3])
    t = parts @ stats.t.ppf(0.975, [3, 2]) / parts.sum()
    assert found.high - found.low == pytest.approx(2 * t * np.sqrt(parts.sum()), rel=0.06)
    few = contrast(Contrast("b", "a", "dice", 0.0), matrix(away), matrix([[0.9]]), (1, 0), QUICK)
    assert few.notes == (ONE_SEED, "no interval can be given: too few subjects, or too many cells missing")
    assert (few.value, few.low, few.p) == (pytest.approx(-0.4), None, None)


def test_what_cannot_be_compared_is_noted():
    home, away = MIXED, table_of([[["scored"]]], [[[0.9]]], "other", subjects="b")
    assert shared_subjects(home, away) == 1
    shared = "data set other shares 1 of its 1 subject with test: the two are not compared with each other"
    assert list(arm_notes([home, away], [0.0, 0.5], RATIO_COMPARISON)) == [shared]
    assert list(arm_notes([home], [0.0], RATIO_COMPARISON)) == [
        "only noise ratio 0 was run: there is nothing to compare"
    ]
    assert list(arm_notes([home], [0.5], RATIO_COMPARISON)) == [
        "no run at noise ratio 0 is done: nothing can be compared with it"
    ]
    assert list(arm_notes([], [], RATIO_COMPARISON)) == ["no case was scored: there is nothing to analyse"]


def test_ratios_are_walked_until_the_first_verdict_that_is_not_non_inferior():
    pairs = [Pairs(r, matrix([[-loss]]), None, ()) for r, loss in ((0.2, 0.01), (0.5, 0.02), (1.0, 0.0))]
    verdicts = ("non-inferior", "inconclusive", "non-inferior")
    rows = [Difference("test", "dice", p.level, verdict=v, group="g") for p, v in zip(pairs, verdicts, strict=True)]
    found = tolerated_ratio(rows, pairs, DICE, 0.02, 0.025)
    assert (found.tolerated, found.stopped_at, found.verdict_there, found.estimate) == (0.2, 0.5, "inconclusive", 0.2)
    assert (found.low, found.high, found.notes, found.group) == (None, None, ("no interval can be given",), "g")
    every = [Difference("test", "dice", p.level, verdict="non-inferior") for p in pairs]
    assert tolerated_ratio(every, pairs, DICE, 0.03, 0.025).tolerated == 1.0
    assert tolerated_ratio(every, pairs, DICE, 0.03, 0.025).estimate == 1.0
    assert usable_pairs([pairs[0], Pairs(0.3, None, None, ()), pairs[1]]) == pairs[:1]
    assert seeds_differ(pairs) == ()
    other = Pairs(0.7, matrix([[0.0]], (9,)), None, ())
    assert seeds_differ([*pairs, other]) == (
        "the ratios have different seeds or cases: their common variation is unknown",
    )


def test_means_and_differences_of_a_table_of_cases():
    rows = [
        *((0.0, 1, "a", 0.9), (0.0, 1, "b", 0.8), (0.0, 2, "a", 0.7), (0.0, 2, "b", NAN)),
        *((0.5, 1, "a", 0.6), (0.5, 1, "b", 0.6), (0.5, 2, "a", 0.3), (0.5, 2, "b", 0.1)),
    ]
    cases = pd.DataFrame(rows, columns=["noise_ratio", "seed", "case_id", "dice"])
    cases = cases.assign(dataset="test", subject_id=cases.case_id, outcome="scored")
    assert means_by_seed(cases, DICE)["mean"].tolist() == pytest.approx([0.85, 0.7, 0.6, 0.2])
    found = paired_differences(cases, DICE)
    assert found.case_id.tolist() == ["a", "b"]
    assert found.baseline.tolist() == pytest.approx([0.8, 0.8])
    assert found.value.tolist() == pytest.approx([0.45, 0.6])
    assert found.difference.tolist() == pytest.approx([-0.35, -0.2])
    assert found.n_seeds.tolist() == [2, 1]
