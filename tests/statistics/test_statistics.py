"""Intervals, tests and verdicts against hand-derived numbers, scipy and statsmodels, and by simulation."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from mandseg.metrics.catalogue import METRICS
from mandseg.metrics.margins import MARGINS
from mandseg.report.finding import headline, sentences
from mandseg.report.statistics_methods import state_methods
from mandseg.report.tables.verdicts import verdict_table
from mandseg.report.wording import number, p_value
from mandseg.statistics.analysis import Analysis, analyse
from mandseg.statistics.bootstrap import Resampling
from mandseg.statistics.results import Crossing, Difference, Mean, MixedCheck, Tolerance, as_table, curve_table
from mandseg.system.errors import UserError
from study_fixture import case_row

DICE = METRICS[0]
QUICK = Resampling(n_resamples=400)


def table(dice: dict[tuple[float, int], list[float | None]], dataset: str = "test") -> pd.DataFrame:
    """Cases of (ratio, seed) -> Dice of case 0, 1, ...; None where a case is missing."""
    rows = [
        case_row(ratio, seed, dataset, f"c{k:02d}", value)
        for (ratio, seed), values in dice.items()
        for k, value in enumerate(values)
        if value is not None
    ]
    return pd.DataFrame(rows)


def difference(analysis: Analysis, ratio: float, metric: str = "dice") -> Difference:
    return next(row for row in analysis.differences if (row.level, row.metric) == (ratio, metric))


def numbers(rows: tuple) -> list[float]:
    values = [getattr(row, field.name) for row in rows for field in fields(row)]
    return [value for value in values if isinstance(value, float)]


def test_difference_pairs_the_same_seed_and_case():
    clean, noisy = [0.9, 0.8, 0.7, 0.6], [0.8, 0.7, 0.6, 0.5]
    analysis = analyse(table({(0.0, 0): clean, (0.0, 1): noisy, (0.5, 0): noisy, (0.5, 1): clean}), resampling=QUICK)
    row = difference(analysis, 0.5)
    assert row.difference == pytest.approx(0.0)
    assert (row.n_cases, row.n_seeds) == (4, 2)
    assert row.notes[-1] == "all differences are zero"


def test_a_known_loss_has_its_verdicts():
    rng = np.random.default_rng(9)
    level = 0.85 + rng.normal(0, 0.03, 20)
    loss = {0.0: 0.0, 0.2: 0.002, 0.5: 0.02, 1.0: 0.1}
    dice = {
        (ratio, seed): list(level - lost + rng.normal(0, 0.004, 20))
        for ratio, lost in loss.items()
        for seed in range(3)
    }
    analysis = analyse(table(dice), resampling=QUICK)
    assert [row.verdict for row in analysis.differences_of("test", "dice")] == [
        "non-inferior",
        "inconclusive",
        "inferior",
    ]
    assert difference(analysis, 1.0).difference == pytest.approx(-0.1, abs=0.005)
    (sentence,) = sentences(analysis)
    assert "The largest tested ratio with a mean loss below the margin is " in sentence
    assert "The fitted loss reaches the margin at noise ratio 0." in sentence
    assert difference(analysis, 1.0, "hd95_mm").difference == pytest.approx(3.0, abs=0.15)
    dice_tolerance = next(row for row in analysis.tolerances if row.metric == "dice")
    assert (dice_tolerance.tolerated, dice_tolerance.stopped_at) == (0.2, 0.5)
    assert headline(analysis) == (
        "Mean Dice is shown to stay within 0.02 of training on clean labels up to a noise ratio of 0.2 on test "
        "(0.5 is inconclusive)."
    )
    assert "At 1 the change is −0.1" in sentence


def test_tolerance_stops_at_the_first_failure_even_if_a_larger_ratio_passes():
    steady = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    worse = [value - 0.2 for value in steady]
    analysis = analyse(table({(0.0, 0): steady, (0.2, 0): worse, (0.5, 0): steady}), resampling=QUICK)
    tolerance = next(row for row in analysis.tolerances if row.metric == "dice")
    assert (tolerance.tolerated, tolerance.stopped_at, tolerance.verdict_there) == (None, 0.2, "inferior")
    assert headline(analysis) == (
        "One seed only. Mean Dice is not shown to stay within 0.02 of training on clean labels at any tested noise "
        "ratio on test (0.2 is inferior)."
    )


def test_headline_names_every_data_set_and_their_differences_the_worst_first():
    steady = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    worse = [value - 0.2 for value in steady]
    robust = {(ratio, seed): steady for ratio in (0.0, 0.2, 0.5) for seed in (0, 1)}
    partly = robust | {(0.5, seed): worse for seed in (0, 1)}
    fragile = partly | {(0.2, seed): worse for seed in (0, 1)}
    tables = [table(dice, name) for name, dice in (("c", fragile), ("b", partly), ("a", robust))]
    assert headline(analyse(pd.concat(tables), resampling=QUICK)) == (
        "The data sets differ. Mean Dice is shown to stay within 0.02 of training on clean labels: on c at no tested "
        "noise ratio (0.2 is inferior); on b up to a noise ratio of 0.2 (0.5 is inferior); on a at every tested noise "
        "ratio (up to 0.5)."
    )


def test_headline_distinguishes_inconclusive_from_inferior_ratios_and_names_what_cannot_be_compared():
    steady = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    worse = [value - 0.2 for value in steady]
    unclear = [value - 0.02 + 0.01 * (-1) ** k for k, value in enumerate(steady)]
    dice = {(ratio, seed): steady for ratio in (0.0, 0.2) for seed in (0, 1)}
    tables = [
        table(dice | {(0.5, seed): last for seed in (0, 1)}, name) for name, last in (("a", unclear), ("b", worse))
    ]
    tables.append(table({(0.5, seed): steady for seed in (0, 1)}, "c"))
    assert headline(analyse(pd.concat(tables), resampling=QUICK)) == (
        "The data sets differ. Mean Dice is shown to stay within 0.02 of training on clean labels: on a up to a noise "
        "ratio of 0.2 (0.5 is inconclusive); on b up to a noise ratio of 0.2 (0.5 is inferior). c cannot be compared "
        "with noise ratio 0."
    )


def test_headline_of_data_sets_that_agree_names_all_of_them():
    steady = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    dice = {(ratio, seed): steady for ratio in (0.0, 0.5) for seed in (0, 1)}
    assert headline(analyse(pd.concat([table(dice, name) for name in "ab"]), resampling=QUICK)) == (
        "Mean Dice is shown to stay within 0.02 of training on clean labels at every tested noise ratio (up to 0.5) "
        "on all 2 data sets."
    )


def test_headline_states_that_no_data_set_has_both_ratios():
    rows = [table({(ratio, 0): [0.9, 0.88]}, name) for ratio, name in ((0.0, "a"), (0.5, "b"))]
    assert headline(analyse(pd.concat(rows), resampling=QUICK)) == (
        "No data set was scored at noise ratio 0 and at another one: no tolerated noise ratio can be given."
    )


def test_margin_is_the_one_that_is_given():
    steady = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    lower = [value - 0.05 + 0.001 * k for k, value in enumerate(steady)]
    cases = table({(0.0, 0): steady, (0.5, 0): lower})
    strict, lenient = (analyse(cases, MARGINS.changed({"dice": margin}), QUICK) for margin in (0.02, 0.1))
    assert difference(strict, 0.5).verdict == "inferior"
    assert difference(lenient, 0.5).verdict == "non-inferior"


def test_worse_is_upwards_for_distances():
    steady = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    analysis = analyse(table({(0.0, 0): [d - 0.1 for d in steady], (0.5, 0): steady}), resampling=QUICK)
    row = difference(analysis, 0.5, "hd95_mm")
    assert row.difference == pytest.approx(-3.0)
    assert row.verdict == "non-inferior"


def missed_at(ratio: float) -> pd.DataFrame:
    """Two ratios of equal scores; at one of them the first case is missed by one seed of two."""
    rows = [
        case_row(r, seed, "test", f"c{k}", 0.8 + 0.01 * k, "missed" if (r, seed, k) == (ratio, 0, 0) else "scored")
        for r in (0.0, 0.5)
        for seed in (0, 1)
        for k in range(8)
    ]
    return pd.DataFrame(rows)


def test_missed_cases_count_as_the_worst_and_are_left_out_of_a_second_analysis():
    analysis = analyse(missed_at(0.5), resampling=QUICK)
    assert difference(analysis, 0.5).difference == pytest.approx(-0.8 / 2 / 8)
    assert difference(analysis, 0.5).notes[-1] == (
        "1 missed prediction counts with worst-case scores: where they are rare, the interval is too narrow"
    )
    without = analysis.without_missed
    assert without is not None
    assert difference(without, 0.5).difference == pytest.approx(0.0)
    assert "1 of 16 case-seed pairs is missing" in difference(without, 0.5).notes
    missed = [analysis.mean("test", "dice", ratio) for ratio in (0.0, 0.5)]
    assert [(mean.n_missed, mean.n_predictions) for mean in missed if mean] == [(0, 16), (1, 16)]
    assert without.without_missed is None


def test_without_missed_cases_there_is_no_second_analysis():
    assert analyse(table({(0.0, 0): [0.9, 0.8], (0.5, 0): [0.9, 0.8]}), resampling=QUICK).without_missed is None


def test_a_ratio_at_which_all_is_missed_is_worst_in_one_analysis_and_absent_from_the_other():
    rows = [case_row(r, 0, "test", f"c{k}", 0.8, "missed" if r else "scored") for r in (0.0, 0.5) for k in range(4)]
    analysis = analyse(pd.DataFrame(rows), resampling=QUICK)
    assert difference(analysis, 0.5).difference == pytest.approx(-0.8)
    assert analysis.without_missed is not None
    assert analysis.without_missed.levels == [0.0]
    assert analysis.without_missed.notes == ("only noise ratio 0 was run: there is nothing to compare",)


def test_gap_and_interaction_compare_data_sets_at_every_ratio():
    rng = np.random.default_rng(11)
    level = {"home": 0.9, "away": 0.8}
    loss = {"home": 0.0, "away": 0.04}
    rows = [
        case_row(ratio, seed, name, f"{name}{k}", level[name] + base - ratio * loss[name] + rng.normal(0, 0.002))
        for name in level
        for k, base in enumerate(rng.normal(0, 0.01, 30))
        for ratio in (0.0, 1.0)
        for seed in (0, 1, 2)
    ]
    analysis = analyse(pd.DataFrame(rows), resampling=QUICK)
    gaps = {row.level: row.value for row in analysis.gaps if row.metric == "dice"}
    assert gaps == pytest.approx({0.0: -0.1, 1.0: -0.14}, abs=0.01)
    (interaction,) = [row for row in analysis.interactions if row.metric == "dice"]
    assert interaction.value == pytest.approx(-0.04, abs=0.002)
    assert interaction.low is not None
    assert interaction.high is not None
    assert interaction.low < -0.04 < interaction.high < 0
    assert (interaction.dataset, interaction.reference_dataset) == ("away", "home")


def test_parts_of_a_data_set_are_not_compared_with_it():
    steady = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    cases = {(0.0, 0): steady, (0.5, 0): steady}
    part = table({key: values[:3] for key, values in cases.items()}, "part")
    analysis = analyse(pd.concat([table(cases), part]), resampling=QUICK)
    assert (analysis.gaps, analysis.interactions) == ((), ())
    assert analysis.notes == (
        "data set part shares 3 of its 3 subjects with test: the two are not compared with each other",
    )


def test_case_that_is_there_twice_is_refused():
    cases = table({(0.0, 0): [0.9, 0.8]})
    with pytest.raises(UserError, match="case c00 of data set test: scored twice at one level with seed 0"):
        analyse(pd.concat([cases, cases]))


def test_same_table_gives_the_same_analysis():
    rng = np.random.default_rng(12)
    cases = table({(r, s): list(rng.uniform(0.7, 0.9, 9)) for r in (0.0, 0.2, 0.5) for s in range(3)})
    assert analyse(cases, resampling=QUICK) == analyse(cases.sample(frac=1, random_state=1), resampling=QUICK)


def test_finding_is_about_the_primary_metric():
    steady = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    cases = table({(r, s): steady for r in (0.0, 0.5) for s in (0, 1)})
    analysis = analyse(cases, resampling=QUICK, primary="hd95_mm")
    assert headline(analysis) == (
        "Mean HD95 is shown to stay within 1 mm of training on clean labels at every tested noise ratio (up to 0.5) "
        "on test."
    )
    assert "mean HD95 is 5.50" in sentences(analysis)[0]


def test_empty_table_is_reported():
    analysis = analyse(table({(0.0, 0): [0.9]}).iloc[:0])
    assert analysis.notes == ("no case was scored: there is nothing to analyse",)
    assert headline(analysis) == "No run is done yet: there is nothing to report."


def test_missed_cases_stay_in_the_mean_and_are_counted():
    rows = [case_row(0.0, 0, "test", f"c{k}", 0.8, "missed" if k == 0 else "scored") for k in range(4)]
    mean = analyse(pd.DataFrame(rows), resampling=QUICK).means[0]
    assert mean.mean == pytest.approx(0.6)
    assert (mean.n_missed, mean.n_predictions) == (1, 4)


def test_missing_cells_are_left_out_in_pairs_and_reported():
    full = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    holed = [None, 0.7, 0.6, 0.5, 0.4, 0.3]
    analysis = analyse(table({(0.0, 0): full, (0.0, 1): full, (0.5, 0): holed, (0.5, 1): full}), resampling=QUICK)
    row = difference(analysis, 0.5)
    # case means of the pairs: 0 (seed 1 only), then five times (-0.1 + 0) / 2
    assert row.difference == pytest.approx(5 * -0.05 / 6)
    assert "1 of 12 case-seed pairs is missing" in row.notes


def test_seed_without_a_partner_is_left_out_and_reported():
    cases = {(0.0, 0): [0.9, 0.8, 0.7], (0.0, 1): [0.5, 0.5, 0.5], (0.2, 0): [0.8, 0.7, 0.6]}
    row = difference(analyse(table(cases), resampling=QUICK), 0.2)
    assert row.difference == pytest.approx(-0.1)
    assert row.notes[0] == "left out, not run at both ratios: seed 1"
    assert "one seed: the interval does not cover the variation between trainings" in row.notes


def test_ratios_without_a_common_seed_are_not_compared():
    row = difference(analyse(table({(0.0, 0): [0.9, 0.8], (0.2, 1): [0.9, 0.8]}), resampling=QUICK), 0.2)
    assert row.verdict == "not comparable"
    assert row.difference is None
    assert row.notes == ("no seed was run at both ratios: nothing can be paired",)


def test_levels_without_a_common_seed_are_reported_with_their_seeds():
    dice = {(0.0, 0): [0.9, 0.8], (0.0, 1): [0.9, 0.8], (0.5, 3): [0.9, 0.8]}
    seeds = "seeds 0, 1 at noise ratio 0; seed 3 at noise ratio 0.5"
    line = f"Nothing can be paired: no seed was run at both ratios ({seeds})."
    assert headline(analyse(table(dice), resampling=QUICK)) == line


def test_a_level_without_a_common_seed_is_reported_beside_the_finding():
    steady = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    dice = dict.fromkeys(((0.0, 0), (0.0, 1), (0.2, 0), (0.2, 1), (0.5, 7)), steady)
    sentence = headline(analyse(table(dice), resampling=QUICK))
    assert "stay within 0.02 of training on clean labels up to a noise ratio of 0.2 on test" in sentence
    assert sentence.endswith("(seeds 0, 1 at noise ratio 0; seed 7 at noise ratio 0.5).")


@pytest.mark.parametrize(
    ("clean", "outcome", "why"),
    [
        ([0.0] * 6, "missed", "12 of 12 predictions are empty"),
        ([0.30, 0.28, 0.26, 0.24, 0.22, 0.20], "scored", "mean Dice is 0.250"),
    ],
)
def test_no_tolerance_is_claimed_against_a_baseline_that_has_not_learned(clean, outcome, why):
    rows = [
        case_row(ratio, seed, "test", f"c{k}", value, outcome)
        for ratio in (0.0, 0.5)
        for seed in (0, 1)
        for k, value in enumerate(clean)
    ]
    analysis = analyse(pd.DataFrame(rows), resampling=QUICK)
    line = f"No conclusion about noise is possible: at noise ratio 0 the network has not learned ({why} on test)."
    assert headline(analysis) == line
    assert {row.verdict for row in analysis.differences} == {"not comparable"}
    assert {row.equivalence for row in analysis.differences} == {"not comparable"}
    assert not analysis.tolerances
    assert not analysis.crossings
    assert "margin" not in " ".join(sentences(analysis))


def test_a_data_set_whose_baseline_has_not_learned_is_left_out_of_the_finding():
    steady, poor = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8], [0.3, 0.28, 0.26, 0.24, 0.22, 0.2]
    runs = [(ratio, seed) for ratio in (0.0, 0.5) for seed in (0, 1)]
    cases = pd.concat([table(dict.fromkeys(runs, steady), "home"), table(dict.fromkeys(runs, poor), "far")])
    sentence = headline(analyse(cases, resampling=QUICK))
    assert "within 0.02 of training on clean labels at every tested noise ratio (up to 0.5) on home." in sentence
    assert sentence.startswith("No conclusion about far is possible: at noise ratio 0 the network has not learned")


def test_a_network_that_has_not_learned_is_the_finding_also_where_one_ratio_was_run():
    cases = table({(0.0, 0): [0.3, 0.28, 0.26, 0.24]}, "home")
    line = headline(analyse(cases, resampling=QUICK))
    assert line == (
        "No conclusion about noise is possible: at noise ratio 0 the network has not learned "
        "(mean Dice is 0.270 on home)."
    )


def test_the_interval_of_a_difference_ends_at_what_the_baseline_leaves():
    runs = {(0.0, 0): [0.02, 0.0, 0.05, 0.01], (0.5, 0): [0.9, 0.0, 0.0, 0.0]}
    analysis = analyse(table(runs, "home"), resampling=QUICK)
    (row,) = [row for row in analysis.differences if row.metric == "dice"]
    (base,) = [row for row in analysis.means if (row.metric, row.level) == ("dice", 0.0)]
    assert row.low == -base.high
    assert row.low <= row.difference <= row.high <= 1 - base.low
    (distance,) = [row for row in analysis.differences if row.metric == "hd95_mm"]
    assert distance.high is None or distance.high > 0


def test_the_cell_of_a_verdict_states_that_a_curve_of_one_seed_is_not_monotone():
    level = {0.0: 0.9, 0.2: 0.85, 0.5: 0.88, 1.0: 0.8}
    cells = {}
    for seeds in (1, 2):
        runs = {(r, s): [dice - 0.01 * k for k in range(6)] for r, dice in level.items() for s in range(seeds)}
        rows = verdict_table(analyse(table(runs, "home"), resampling=QUICK), "verdicts").rows
        cells[seeds] = [row[1].small for row in rows]
    assert ["not monotone" in cell for cell in cells[1]] == [False, True, False]
    assert cells[1][1].endswith("; not monotone: less loss than at 0.2, with one seed")
    assert not any("not monotone" in cell for cell in cells[2])


def test_the_finding_names_the_ratios_that_only_one_seed_reached():
    dice = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
    runs = {(r, s): [d - 0.001 * s for d in dice] for r in (0.0, 0.2, 0.5) for s in range(3) if r < 0.5 or s == 0}
    found = headline(analyse(table(runs), resampling=QUICK))
    assert found.startswith("Mean Dice is shown to stay within 0.02")
    assert found.endswith("(up to 0.5) on test. One seed only at noise ratio 0.5.")


def test_methods_describe_only_the_analyses_that_were_made():
    runs = {(r, s): [0.9, 0.88, 0.86, 0.84, 0.82, 0.8 - r / 10] for r in (0.0, 0.5) for s in (0, 1)}
    several, one = (
        state_methods([analyse(table({key: runs[key] for key in runs if key[1] < n}, "home"), resampling=QUICK)])
        for n in (2, 1)
    )
    assert "crossed bootstrap" in several
    assert "mixed model" in several
    assert not any(words in one for words in ("crossed bootstrap", "mixed model", "averaged over seeds", "equal seed"))
    assert "do not contain the variation between trainings" in one


AWKWARD = {
    "one case": {(0.0, 0): [0.9], (0.5, 0): [0.8]},
    "two cases, one seed": {(0.0, 0): [0.9, 0.8], (0.5, 0): [0.8, 0.8]},
    "three cases": {(r, s): [0.9, 0.8, 0.7] for r in (0.0, 0.5) for s in (0, 1)},
    "all the same": {(r, s): [0.9] * 6 for r in (0.0, 0.5) for s in (0, 1)},
    "one ratio": {(0.5, 0): [0.9, 0.8, 0.7]},
    "no ratio 0": {(0.2, 0): [0.9, 0.8, 0.7], (0.5, 0): [0.9, 0.8, 0.7]},
    "no common seed": {(0.0, 0): [0.9, 0.8], (0.5, 1): [0.9, 0.8]},
    "no common case": {(0.0, 0): [0.9, None], (0.5, 0): [None, 0.8]},
    "a checkerboard": {(0.0, 0): [0.9, None], (0.0, 1): [None, 0.8], (0.5, 0): [None, 0.7], (0.5, 1): [0.8, None]},
}


@pytest.mark.parametrize("dice", AWKWARD.values(), ids=AWKWARD)
def test_awkward_tables_give_words_and_never_nan(dice):
    analysis = analyse(table(dice), resampling=QUICK)
    assert np.isfinite(numbers(analysis.means)).all()
    assert np.isfinite(numbers(analysis.differences)).all()
    for row in analysis.differences:
        assert row.p is not None or row.notes
        assert row.low is not None or row.notes
    kinds = {Tolerance: analysis.tolerances, Crossing: analysis.crossings, MixedCheck: analysis.mixed}
    for rows in kinds.values():
        assert np.isfinite(numbers(rows)).all()
    words = [headline(analysis), *sentences(analysis), *analysis.notes, *(row.words for row in analysis.crossings)]
    text = " ".join(
        [
            *(*words, as_table(analysis.means, Mean).to_csv(), as_table(analysis.differences, Difference).to_csv()),
            *(as_table(rows, kind).to_csv() for kind, rows in kinds.items()),
            curve_table(analysis.crossings).to_csv(),
        ]
    )
    assert "nan" not in text.lower()
    assert len(words) > 1


def test_numbers_are_printed_without_negative_zero_and_with_a_true_minus():
    assert number(-0.0004, 3, signed=True) == "0.000"
    assert number(-0.0126, 3, signed=True) == "−0.013"
    assert number(None, 3) == "–"
    assert [p_value(p) for p in (0.0001, 0.0123, 0.5)] == ["< 0.001", "0.012", "0.50"]
