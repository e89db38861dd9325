"""The committed results of the OpenKBP study follow from its committed scores, and the READMEs state them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from mandseg.statistics.analysis import Analysis, analyse
from mandseg.statistics.results import Difference, as_table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results" / "openkbp"
NUMBERS = ["difference", "low", "high", "p_holm", "n_cases", "n_seeds"]


@pytest.fixture(scope="module")
def pool() -> ModuleType:
    """The script that pools both halves."""
    spec = importlib.util.spec_from_file_location("pool", RESULTS / "pool.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def analysis(pool: ModuleType) -> Analysis:
    scores = pool.pooled_scores()
    return analyse(scores[["noise_ratio", "seed", "dataset", "case_id", "subject_id", "outcome", "dice"]])


def test_the_82_cases_are_the_40_and_the_42_and_come_from_81_patients(pool):
    scores = pool.pooled_scores()
    cases = {name: set(rows.case_id) for name, rows in scores.groupby("dataset")}
    assert (len(cases["test"]), len(cases["confirmation"])) == (40, 42)
    assert cases["both"] == cases["test"] | cases["confirmation"]
    both = scores[scores.dataset == "both"]
    assert (both.case_id.nunique(), both.subject_id.nunique(), len(both)) == (82, 81, 82 * 12)
    assert set(both.subject_id[both.case_id.isin(["pt_36", "pt_293"])]) == {"pt_36"}


def test_committed_differences_follow_from_the_committed_scores(analysis):
    columns = ["dataset", "noise_ratio", "verdict", "equivalence"]
    committed = pd.read_csv(RESULTS / "differences.csv").query("metric == 'dice'").reset_index(drop=True)
    made = as_table(analysis.differences, Difference)
    assert made[columns].equals(committed[columns])
    assert (made[NUMBERS].astype(float) - committed[NUMBERS]).abs().to_numpy().max() < 1e-9


def test_half_is_inconclusive_on_the_confirmation_alone(analysis):
    stated = {
        name: [row.verdict for row in analysis.differences_of(name, "dice")]
        for name in ("test", "confirmation", "both")
    }
    assert stated == {
        "test": ["non-inferior", "non-inferior", "inconclusive"],
        "confirmation": ["non-inferior", "inconclusive", "inferior"],
        "both": ["non-inferior", "non-inferior", "inconclusive"],
    }


def test_readmes_state_the_committed_numbers_of_both_halves_and_of_all(pool):
    table = pool.markdown_table(pool.HALVES)
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")
    of_study = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert table in of_study
    assert pool.markdown_table(pool.FIELDS_OF_VIEW) in of_study


@pytest.mark.parametrize("study", ["openkbp", "bias", "severity"])
def test_committed_verdicts_are_verdicts_of_the_report(study):
    for file in (ROOT / "docs" / "results" / study).glob("*.csv"):
        table = pd.read_csv(file)
        if "verdict" in table:
            assert set(table.verdict) <= {"non-inferior", "inconclusive", "inferior", "no margin"}, file.name
            assert set(table.equivalence) <= {"equivalent", "inconclusive", "not equivalent", "no margin"}, file.name
