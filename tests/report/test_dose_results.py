"""The committed dose results follow from the committed scores, and their README states them."""

from pathlib import Path

import pandas as pd
import pytest

from mandseg.metrics.dose.catalogue import ABSOLUTE, ERROR, measures_of, scores_of
from mandseg.report.wording import number
from mandseg.statistics.analysis import Analysis, analyse

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "dose"


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    cases = pd.read_csv(RESULTS / "cases.csv")
    cases = cases.assign(subject_id=cases.case_id)
    for measure in measures_of(cases.columns):
        cases[measure.name + ABSOLUTE] = cases[measure.name + ERROR].abs()
    scores = scores_of(measures_of(cases.columns))
    return analyse(cases, primary=f"dmean_gy{ABSOLUTE}", metrics=scores)


def words(row: object, signed: bool) -> str:
    middle = row.difference if hasattr(row, "difference") else row.mean  # type: ignore[attr-defined]
    ends = (row.low, row.high)  # type: ignore[attr-defined]
    return "{} ({} to {})".format(*(number(value, 2, signed) for value in (middle, *ends)))


def test_every_scored_error_is_prediction_minus_reference() -> None:
    cases = pd.read_csv(RESULTS / "cases.csv")
    assert cases.groupby(["noise_ratio", "seed"]).case_id.nunique().tolist() == [40] * 12
    for measure in measures_of(cases.columns):
        found = cases[f"{measure.name}_prediction"] - cases[f"{measure.name}_reference"]
        assert (found - cases[measure.name + ERROR]).abs().max() < 2e-4


def test_the_committed_means_follow_from_the_committed_cases(analysis: Analysis) -> None:
    stated = pd.read_csv(RESULTS / "errors.csv").query("dataset == 'test'").set_index(["metric", "noise_ratio"])
    for row in analysis.means:
        committed = stated.loc[(row.metric, row.noise_ratio)]
        assert [row.mean, row.low, row.high] == pytest.approx(committed[["mean", "low", "high"]].tolist(), abs=1e-3)


def test_the_readme_states_the_errors_and_what_each_ratio_costs(analysis: Analysis) -> None:
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    for measure in measures_of(pd.read_csv(RESULTS / "cases.csv", nrows=1).columns):
        rows = analysis.of(analysis.means, "test", measure.absolute.column)
        assert all(words(row, signed=False) in text for row in rows)
        if measure.unit == "Gy":
            assert all(
                words(row, signed=True) in text for row in analysis.of(analysis.means, "test", measure.error.column)
            )
            costs = analysis.differences_of("test", measure.absolute.column)
            assert all(words(row, signed=True) in text for row in costs)
            assert {row.verdict for row in costs} == {"non-inferior"}
