"""Single trainings and single cases, for the figures that show what the means are made of."""

import numpy as np
import pandas as pd

from mandseg.metrics.catalogue import Metric
from mandseg.statistics.columns import RATIO_COLUMN
from mandseg.statistics.comparison import RATIO, Comparison, Level
from mandseg.statistics.score_table import ScoreMatrix, ScoreTable, build_score_tables
from mandseg.statistics.variance import case_means


def means_by_seed(cases: pd.DataFrame, metric: Metric, column: str = RATIO_COLUMN) -> pd.DataFrame:
    """The mean of every single training: ``dataset, <compared column>, seed, mean``."""
    grouped = cases.groupby(["dataset", column, "seed"], sort=False)[metric.column]
    return grouped.mean().dropna().rename("mean").reset_index()


def paired_differences(cases: pd.DataFrame, metric: Metric, comparison: Comparison = RATIO) -> pd.DataFrame:
    """The difference of every single case from the baseline.

    Returns:
        ``dataset, <compared column>, case_id, baseline, value, difference, n_seeds``: means over the seeds in which the
        case was scored at both levels; cases without such a seed are not there. Empty without a baseline.
    """
    tables = [
        _case_table(score_table, level, scores, baseline, comparison)
        for score_table in (build_score_tables(cases, comparison) if len(cases) else [])
        for by_level in [score_table.scores(metric)]
        if (baseline := by_level.pop(comparison.baseline, None)) is not None
        for level, scores in by_level.items()
    ]
    columns = ["dataset", comparison.column, "case_id", "baseline", "value", "difference", "n_seeds"]
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True)[columns] if full else pd.DataFrame(columns=columns)


def _case_table(
    score_table: ScoreTable, level: Level, other: ScoreMatrix, baseline: ScoreMatrix, comparison: Comparison
) -> pd.DataFrame:
    seeds = sorted(set(other.seeds) & set(baseline.seeds))
    values, clean = other.select_seeds(seeds).values, baseline.select_seeds(seeds).values
    paired = np.isfinite(values - clean)
    value, before = (case_means(np.where(paired, array, np.nan)) for array in (values, clean))
    table = pd.DataFrame(
        {
            "dataset": score_table.dataset,
            comparison.column: level,
            "case_id": score_table.cases,
            "baseline": before,
            "value": value,
            "difference": value - before,
            "n_seeds": paired.sum(axis=0),
        }
    )
    return table[table.n_seeds > 0]
