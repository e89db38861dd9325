"""The levels that are compared, and the declarations before the runs."""

import numpy as np
import pandas as pd
import pytest

from mandseg.metrics.catalogue import metric_named
from mandseg.metrics.declaration import Declaration, declare, read_declaration
from mandseg.metrics.dose.catalogue import measure_named
from mandseg.metrics.margins import MARGINS
from mandseg.report.finding import headline, sentences
from mandseg.report.statistics_methods import state_methods
from mandseg.statistics.analysis import Analysis, analyse
from mandseg.statistics.bootstrap import Resampling
from mandseg.statistics.comparison import RATIO_COMPARISON, Comparison, check_groups, choose_comparison, split_arms
from mandseg.statistics.results import Difference, as_table
from mandseg.statistics.score_table import paired_differences
from mandseg.system.errors import UserError
from study_fixture import case_row

QUICK = Resampling(n_resamples=400)
LOSS = {"supervised": 0.0, "gce": 0.005, "forgetful": 0.1}


def rows(
    ratio: float = 0.2, methods: tuple[str, ...] = tuple(LOSS), seeds: tuple[int, ...] = (0, 1, 2)
) -> list[dict[str, object]]:
    rng = np.random.default_rng(1)
    base = 0.85 + rng.normal(0, 0.03, 15)
    return [
        case_row(ratio, seed, "test", f"c{k:02d}", value)
        | {"method": method, "variant": "", "run": f"{ratio}-{method}-{seed}", "group_protocol": "a" if k < 9 else ""}
        for method in methods
        for seed in seeds
        for k, value in enumerate(base - LOSS[method] + rng.normal(0, 0.004, 15))
    ]


@pytest.fixture
def cases() -> pd.DataFrame:
    return pd.DataFrame(rows() + rows(0.5))


def test_default_is_the_noise_ratio_against_zero(cases):
    assert choose_comparison(cases) == RATIO_COMPARISON


def test_baseline_of_names_is_the_level_with_most_runs(cases):
    more = pd.concat([cases, pd.DataFrame(rows(methods=("gce",), seeds=(3, 4)))])
    assert choose_comparison(cases, "method") == Comparison("method", "supervised")
    assert choose_comparison(more, "method") == Comparison("method", "gce")
    assert choose_comparison(cases, "method", "forgetful") == Comparison("method", "forgetful")
    assert choose_comparison(cases, "noise_ratio", "0.2") == Comparison("noise_ratio", 0.2)


def test_a_column_that_the_cases_do_not_have_is_refused(cases):
    for column in ("ranking", "dice"):
        with pytest.raises(UserError, match=f"compare={column}: expected one of data, method, "):
            choose_comparison(cases.drop(columns="ranking", errors="ignore"), column)


def with_budgets(cases: pd.DataFrame, conditions: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """The runs of some methods as runs of one method with other budgets and rankings."""
    parts = [
        cases[cases.method == run].assign(method="supervised", clean_budget=budget, ranking=ranking, run=run)
        for run, (budget, ranking) in conditions.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_runs_without_trusted_cases_are_compared_with_the_budgets_of_every_ranking(cases):
    pooled = with_budgets(
        cases, {"supervised": ("0", "none"), "gce": ("10", "random"), "forgetful": ("10", "stratified")}
    )
    comparison = choose_comparison(pooled, "clean_budget")
    assert comparison.baseline == "0"
    arms = split_arms(pooled[pooled.noise_ratio == 0.2], comparison)
    assert [(arm.fixed["ranking"], sorted(arm.cases.clean_budget.unique())) for arm in arms] == [
        ("random", ["0", "10"]),
        ("stratified", ["0", "10"]),
    ]
    assert [len(arm.cases) for arm in arms] == [90, 90]
    alone = split_arms(pooled[pooled.clean_budget == "0"], comparison)
    assert [arm.fixed["ranking"] for arm in alone] == ["none", "none"]  # two noise ratios


def test_rankings_are_compared_with_the_random_one_without_the_runs_that_use_none(cases):
    pooled = with_budgets(
        cases, {"supervised": ("0", "none"), "gce": ("10", "list-4e77fa"), "forgetful": ("10", "random")}
    )
    comparison = choose_comparison(pooled, "ranking")
    assert comparison.baseline == "random"
    assert comparison.name("list-4e77fa") == "ranking file list-4e77fa"
    arms = split_arms(pooled[pooled.noise_ratio == 0.2], comparison)
    assert [sorted(arm.cases.ranking.unique()) for arm in arms] == [["list-4e77fa", "random"]]


@pytest.mark.parametrize(
    ("column", "baseline", "message"),
    [
        (
            "colour",
            None,
            "compare=colour: expected one of data, method, model, noise, noise_ratio, variant",
        ),
        ("model", None, "compare=model: all runs have model unet, there is nothing to compare"),
        ("method", "magic", "baseline=magic: no run has this method, they have supervised, gce, forgetful"),
        ("noise_ratio", "few", "baseline=few: expected a noise ratio, 0 to 1"),
    ],
)
def test_comparison_that_cannot_be_made_is_refused(cases, column, baseline, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        choose_comparison(cases, column, baseline)


def test_arms_share_everything_but_the_compared_column_and_the_seed(cases):
    arms = split_arms(cases, Comparison("method", "supervised"))
    assert [arm.fixed["noise_ratio"] for arm in arms] == [0.2, 0.5]
    assert arms[0].title == "noise ratio 0.2, data phantom, noise planning, model unet"
    assert len(split_arms(cases)) == 3


def test_methods_are_compared_by_the_code_that_compares_ratios(cases):
    arm = split_arms(cases, Comparison("method", "supervised"))[0]
    analysis = analyse(arm.cases, resampling=QUICK, comparison=Comparison("method", "supervised"))
    verdicts = {row.level: row.verdict for row in analysis.differences_of("test", "dice")}
    assert verdicts == {"gce": "non-inferior", "forgetful": "inferior"}
    assert analysis.levels == ["supervised", "gce", "forgetful"]
    assert (analysis.tolerances, analysis.crossings) == ((), ())
    assert headline(analysis) == (
        "Against method supervised, with a margin of 0.02 in mean Dice: method gce is non-inferior on test; "
        "method forgetful is inferior on test."
    )
    assert sentences(analysis)[0].startswith("test: at method supervised, mean Dice is 0.8")
    table = as_table(analysis.differences, Difference, "method")
    assert list(table[table.metric == "dice"].method) == ["gce", "forgetful"]


def test_against_another_ratio_than_0_no_ratio_is_called_tolerated(cases):
    by_method = split_arms(cases, Comparison("method", "supervised"))[0].cases
    as_ratio = by_method.assign(noise_ratio=by_method.method.map({"supervised": 0.5, "gce": 0.2, "forgetful": 1.0}))
    analysis = analyse(as_ratio, resampling=QUICK, comparison=Comparison("noise_ratio", 0.5))
    assert (analysis.tolerances, analysis.crossings) == ((), ())
    assert headline(analysis) == (
        "Against noise ratio 0.5, with a margin of 0.02 in mean Dice: noise ratio 0.2 is non-inferior on test; "
        "noise ratio 1 is inferior on test."
    )
    assert " At 0.2 the change is " in sentences(analysis)[0]
    assert "tolerated" not in state_methods([analysis])


def test_ratio_and_method_give_the_same_numbers_for_the_same_scores(cases):
    by_method = split_arms(cases, Comparison("method", "supervised"))[0].cases
    as_ratio = by_method.assign(noise_ratio=by_method.method.map({"supervised": 0.0, "gce": 0.2, "forgetful": 1.0}))
    one = analyse(by_method, resampling=QUICK, comparison=Comparison("method", "supervised"))
    other = analyse(as_ratio, resampling=QUICK)
    for a, b in zip(one.differences, other.differences, strict=True):
        assert (a.difference, a.low, a.high, a.p, a.verdict) == (b.difference, b.low, b.high, b.p, b.verdict)


def group_rows(analysis: Analysis) -> dict[str, int]:
    return {row.group: row.n_cases for row in analysis.differences if row.metric == "dice" and row.level == "gce"}


def test_groups_stand_beside_the_whole_data_set_and_lose_no_case(cases):
    arm = split_arms(cases, Comparison("method", "supervised"))[0]
    by = check_groups(cases, ["dataset", "protocol"])
    assert by == ("protocol",)
    analysis = analyse(arm.cases, resampling=QUICK, comparison=Comparison("method", "supervised"), by=by)
    assert group_rows(analysis) == {"": 15, "protocol=a": 9, "protocol=not stated": 6}
    assert len(analysis.differences_of("test", "dice")) == 2  # the whole data set only


def test_methods_paragraph_states_what_was_compared_with_what(cases):
    arm = split_arms(cases, Comparison("method", "supervised"))[0]
    text = state_methods([analyse(arm.cases, resampling=QUICK, comparison=Comparison("method", "supervised"))])
    assert "compared with method supervised in pairs of equal seed and case" in text
    assert "400 resamples" in text
    assert "(Dice 0.02, HD95 1 mm, " in text
    assert "tolerated noise ratio" not in text
    assert "tolerated noise ratio" in state_methods([analyse(split_arms(cases)[0].cases, resampling=QUICK)])


def test_unknown_group_is_refused(cases):
    with pytest.raises(
        UserError, match="by=annotator: the cases have no such column; expected one of dataset, metal, prot"
    ):
        check_groups(cases, ["annotator"])


def test_paired_differences_are_those_of_the_cases(cases):
    arm = split_arms(cases, Comparison("method", "supervised"))[0]
    table = paired_differences(arm.cases, metric_named("dice"), Comparison("method", "supervised"))
    assert len(table) == 2 * 15
    analysis = analyse(arm.cases, resampling=QUICK, comparison=Comparison("method", "supervised"))
    means = table.groupby("method", sort=False).difference.mean()
    assert list(means) == pytest.approx([row.difference for row in analysis.differences_of("test", "dice")])


def test_declaration_is_read_from_the_config():
    declared = declare({"primary": "hd95_mm", "margins": {"hd95_mm": 2, "assd_mm": None}})
    assert declared.primary == "hd95_mm"
    assert declared.is_declared
    assert declared.margins == MARGINS.changed({"hd95_mm": 2, "assd_mm": None})
    assert declared.margins.words.startswith("Dice 0.02, HD95 2 mm, Surface Dice at 1 mm 0.02")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"primary": "iou"}, "metric 'iou'"),
        ({"margins": {"iou": 0.1}}, "metric 'iou'"),
        ({"margins": {"dice": -0.1}}, "analysis.margins.dice=-0.1: expected a positive number"),
        ({"margins": {"dice": "few"}}, "analysis.margins.dice=few: expected a positive number"),
        ({"margins": {"dice": None}}, "analysis.primary=dice: the primary metric needs a margin"),
        ({"margins": {"volume_error_ml": 1}}, "neither sign of Volume error is better"),
        (
            {"margins": {"dmean": 1}},
            "metric 'dmean': expected one of assd_mm, .*; of the dose dmean_gy, d0_1cc_gy, d2cc_gy",
        ),
        ({"margins": {"dmean_gy": 0}}, "analysis.margins.dmean_gy=0: expected a positive number"),
        ({"margins": {"v300_percent": 5}}, "dose level 300 Gy: expected more than 0 and at most 200 Gy"),
        ({"secondary": "dice"}, "analysis.secondary: expected primary or margins"),
    ],
)
def test_wrong_declaration_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        declare(settings)


def test_a_margin_of_the_dose_is_declared_by_the_name_of_its_measure():
    dmean, d2cc, v30, v44 = (
        measure_named(name).absolute for name in ("dmean_gy", "d2cc_gy", "v30_percent", "v44_percent")
    )
    declared = declare({"margins": {"dmean_gy": 1.5, "d2cc_gy": None, "v30_percent": 5}}).margins
    assert [declared.of(metric) for metric in (dmean, d2cc, v30, v44)] == [1.5, None, 5, None]
    assert declared.source(dmean) == "declared for this study"
    assert [MARGINS.of(metric) for metric in (dmean, d2cc, v30)] == [2.0, 2.0, None]
    assert "Mohamed 2017" in MARGINS.source(dmean)


HD95 = {"primary": "hd95_mm", "margins": {"hd95_mm": 2.0}}


def test_runs_that_agree_declare_without_a_note():
    read = read_declaration([HD95, {"margins": {"hd95_mm": 2.0}, "primary": "hd95_mm"}])
    assert read == Declaration("hd95_mm", MARGINS.changed({"hd95_mm": 2.0}), is_declared=True)


def test_runs_that_differ_or_declare_nothing_are_counted_in_a_note():
    read = read_declaration([HD95, HD95, {"primary": "dice", "margins": {}}, None])
    assert read.primary == "hd95_mm"
    assert read.notes == (
        "1 of 4 runs declares another primary metric or other margins",
        "1 of 4 runs declares no primary metric and no margins",
    )


@pytest.mark.parametrize(
    ("analysis", "note"),
    [
        (None, "no run declares a primary metric or margins: the defaults are used"),
        (["dice"], "the declared analysis cannot be read, the defaults are used: "),
        ({"primary": "iou"}, "the declared analysis cannot be read, the defaults are used: metric 'iou'"),
    ],
)
def test_undeclared_study_uses_the_defaults_and_states_it(analysis, note):
    read = read_declaration([analysis])
    assert (read.primary, read.margins, read.is_declared) == ("dice", MARGINS, False)
    assert read.notes[0].startswith(note)


def test_another_primary_than_the_declared_one_is_reported():
    read = read_declaration([HD95])
    assert read.with_primary(None) == read.with_primary("hd95_mm") == read
    assert read.with_primary("dice").notes == (
        "Dice was chosen as the primary metric after the runs; HD95 is declared before the runs",
    )
    with pytest.raises(UserError, match="metric 'iou'"):
        read.with_primary("iou")


def test_a_group_is_requested_by_its_column_even_with_commas_in_its_name():
    columns = ["scanner, kV", "scanner", "site", "a,b,c"]
    cases = pd.DataFrame({f"group_{name}": ["x"] for name in columns})
    assert check_groups(cases, ["scanner, kV"]) == ("scanner, kV",)
    assert check_groups(cases, ["scanner", "kV"]) == ("scanner, kV",)
    assert check_groups(cases, ["site", "scanner", "kV", "scanner"]) == ("site", "scanner, kV", "scanner")
    assert check_groups(cases, ["a", "b", "c", "scanner", "site"]) == ("a,b,c", "scanner", "site")
    assert check_groups(cases, ["site", "dataset", "group_site"]) == ("site",)
    with pytest.raises(
        UserError, match="by=kV: the cases have no such column; expected one of a,b,c, dataset, scanner, scanner, kV"
    ):
        check_groups(cases, ["site", "kV"])
