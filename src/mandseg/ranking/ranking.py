"""The ranking of a cohort: a table of scores in, the order of correction with reasons and hints out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mandseg.data.manifest import Cohort
from mandseg.ranking.annotators import Annotators
from mandseg.ranking.displacements import bias_column, regions_in
from mandseg.ranking.scores.catalogue import least_scales
from mandseg.ranking.scores.outlier import distances, outlier
from mandseg.ranking.words import hint, reasons

FIRST = ["rank", "case_id", "subject_id", "split", "annotator", "trusted", "suspicion", "flagged", "hint", "why"]
"""The first columns of ranking.csv; scores and measures follow."""


@dataclass(frozen=True)
class Check:
    """How well the scores find wrong labels where the truth is known.

    Args:
        name: Of its CSV file.
        title: For a reader.
        table: From :func:`mandseg.ranking.detection.labels.detection_table`.
        sentence: The finding for the score in use.
    """

    name: str
    title: str
    table: pd.DataFrame
    sentence: str


@dataclass(frozen=True)
class Ranking:
    """A ranked cohort.

    Args:
        cohort: The cohort.
        table: One row for each case: trusted cases first, then the others, most suspicious first.
        by: The score that decides the order.
        threshold: Value of the score from which on a case is flagged; None without one.
        notes: What a reader has to know, one sentence each.
        checks: What is known of the scores in this cohort.
        places: Whether predictions show where the labels are wrong (:mod:`mandseg.ranking.detection.places`); None
            without references or predictions.
        annotators: What is known of its annotators; None where none is recorded or nothing can be compared.
    """

    cohort: Cohort
    table: pd.DataFrame
    by: str
    threshold: float | None = None
    notes: Sequence[str] = ()
    checks: Sequence[Check] = ()
    places: pd.DataFrame | None = None
    annotators: Annotators | None = None

    @property
    def open(self) -> pd.DataFrame:
        """The cases that are not trusted, in their order."""
        return self.table[self.table.trusted == 0]


def with_outlier(table: pd.DataFrame, cohort: pd.DataFrame | None = None) -> pd.DataFrame:
    """Add the score ``outlier``, and the columns ``hint`` and ``why``.

    Args:
        table: The measures of labels.
        cohort: The labels to compare with; default: those of the table.
    """
    others = table if cohort is None else cohort
    scales = least_scales(others)
    away = distances(table, others, scales)
    middle = others[list(scales)].astype(float).median()
    rows = zip(table.to_dict("records"), away.to_dict("records"), strict=True)
    words = [
        (hint(far, _known(row)), reasons(row, far, middle))  # type: ignore[arg-type]  # names are texts
        for row, far in rows
    ]
    return table.assign(outlier=outlier(away), hint=[w for w, _ in words], why=[w for _, w in words])


def ordered(
    cohort: Cohort,
    table: pd.DataFrame,
    by: str,
    threshold: float | None = None,
    notes: Sequence[str] = (),
    checks: Sequence[Check] = (),
) -> Ranking:
    """Order the cases: trusted ones first, then by the score, largest first; cases without the score by ``outlier``.

    The arguments are the fields of the ranking; ``table`` in any order.
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
    return Ranking(cohort, table[columns], by, threshold, tuple(notes), tuple(checks))


def _known(row: dict[Any, Any]) -> dict[str, float]:
    return {r: float(row[bias_column(r)]) for r in regions_in(row) if pd.notna(row[bias_column(r)])}
