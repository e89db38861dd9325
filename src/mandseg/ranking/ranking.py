"""The ranking of a cohort: its tables in, the order of correction with scores, reasons and hints out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mandseg.data.manifest import Cohort, read_cohort
from mandseg.metrics.regions import REGIONS
from mandseg.ranking.drawn_label import cases_to_rank
from mandseg.ranking.label_table import label_table
from mandseg.ranking.scores.catalogue import LEAST_SCALES, SCORES
from mandseg.ranking.scores.outlier import distances, outlier
from mandseg.ranking.words import hint, reasons
from mandseg.system.errors import UserError

FIRST = ["rank", "case_id", "subject_id", "split", "annotator", "trusted", "suspicion", "flagged", "hint", "why"]
"""The first columns of ranking.csv; scores and measures follow."""


@dataclass(frozen=True)
class Ranking:
    """A ranked cohort.

    Args:
        cohort: The cohort.
        table: One row for each case: trusted cases first, then the others, most suspicious first.
        by: The score that decides the order.
        threshold: Value of the score from which on a case is flagged; None without one.
        notes: What a reader has to know, one sentence each.
    """

    cohort: Cohort
    table: pd.DataFrame
    by: str
    threshold: float | None = None
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def open(self) -> pd.DataFrame:
        """The cases that are not trusted, in their order."""
        return self.table[self.table.trusted == 0]


def rank_labels(path: Path, by: str | None = None, workers: int | None = None) -> Ranking:
    """Rank a cohort by its labels and CTs alone, without any network.

    Args:
        path: A cohort's folder, or its manifest.csv.
        by: The score that decides the order; default: ``outlier``.
        workers: Number of processes.

    Raises:
        UserError: Fewer than two cases to rank, files that cannot be used, or a score that needs more.
    """
    cohort = read_cohort(path)
    cases_to_rank(cohort)
    refuse_score(by, has_predictions=False)
    table = with_outlier(label_table(cohort.cases, workers))
    return ordered(cohort, table, by or "outlier")


def refuse_score(by: str | None, has_predictions: bool) -> None:
    """Refuse a score that is unknown, or that needs predictions where there are none.

    Raises:
        UserError: One line with the score and how to get it.
    """
    needs = {score.name: score.needs for score in SCORES}
    if by is not None and by not in needs:
        raise UserError(f"--by {by}: expected one of {', '.join(needs)}")
    if by is not None and needs[by] != "labels" and not has_predictions:
        raise UserError(f"--by {by}: needs {needs[by]}; give --run STUDY of finished networks, or --folds 3")


def with_outlier(table: pd.DataFrame) -> pd.DataFrame:
    """Add the score ``outlier``, and the columns ``hint`` and ``why``."""
    away = distances(table, table, LEAST_SCALES)
    middle = table[list(LEAST_SCALES)].astype(float).median()
    regions = {f"bias_{region}_mm": region for region in REGIONS}
    rows = zip(table.to_dict("records"), away.to_dict("records"), strict=True)
    words = [
        (hint(far, _known(row, regions)), reasons(row, far, middle))  # type: ignore[arg-type]  # names are texts
        for row, far in rows
    ]
    return table.assign(outlier=outlier(away), hint=[w for w, _ in words], why=[w for _, w in words])


def ordered(
    cohort: Cohort, table: pd.DataFrame, by: str, threshold: float | None = None, notes: Sequence[str] = ()
) -> Ranking:
    """Order the cases: trusted ones first, then by the score, largest first; cases without the score by ``outlier``.

    Args:
        cohort: The cohort.
        table: The scores.
        by: The score that decides.
        threshold: Value from which on a case is flagged.
        notes: Sentences for the reader.
    """
    table = table.assign(suspicion=table[by], empty=(table.volume_ml == 0).astype(int))
    table = table.sort_values(
        ["trusted", "empty", "suspicion", "outlier", "case_id"],
        ascending=[False, False, False, False, True],
        ignore_index=True,
    )
    is_open = table.trusted == 0
    table["rank"] = is_open.cumsum().where(is_open).astype("Int64")
    table["flagged"] = 0 if threshold is None else (is_open & (table.suspicion >= threshold)).astype(int)
    columns = [*FIRST, *(c for c in table.columns if c not in (*FIRST, "empty"))]
    return Ranking(cohort, table[columns], by, threshold, tuple(notes))


def _known(row: dict[str, float], regions: dict[str, str]) -> dict[str, float]:
    return {region: float(row[column]) for column, region in regions.items() if column in row and pd.notna(row[column])}
