"""The ranking of a cohort: its tables in, the order of correction with scores, reasons and hints out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from mandseg.data.case import Case
from mandseg.data.manifest import Cohort
from mandseg.metrics.regions import REGIONS
from mandseg.ranking.judged import judged_table
from mandseg.ranking.label_table import label_table
from mandseg.ranking.networks import RankingNetwork, most_judges, networks_of
from mandseg.ranking.predictions import evidence_of, prepare_ranked
from mandseg.ranking.scores.catalogue import LEAST_SCALES, SCORES
from mandseg.ranking.scores.outlier import distances, outlier
from mandseg.ranking.words import hint, reasons
from mandseg.system.config_paths import cache_folder
from mandseg.system.errors import UserError

FIRST = ["rank", "case_id", "subject_id", "split", "annotator", "trusted", "suspicion", "flagged", "hint", "why"]
"""The first columns of ranking.csv; scores and measures follow."""

LEAST_DICE = 0.7  # median of labels and predictions; below, a network has not learned the structure


@dataclass(frozen=True)
class Predictions:
    """Where the predictions of a ranking come from.

    Args:
        networks: The networks, with the cases that each of them knows.
        cache: The cache folder.
        notes: Sentences for the reader.
        most_networks: The largest number of networks that judge a case.
    """

    networks: Sequence[RankingNetwork]
    cache: Path
    notes: Sequence[str]
    most_networks: int


@dataclass(frozen=True)
class Ranking:
    """A ranked cohort.

    Args:
        cohort: The cohort.
        table: One row for each case: trusted cases first, then the others, most suspicious first.
        by: The score that decides the order.
        threshold: Value of the score from which on a case is flagged; None without one.
        notes: What a reader has to know, one sentence each.
        source: The networks; None for a ranking without them.
    """

    cohort: Cohort
    table: pd.DataFrame
    by: str
    threshold: float | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    source: Predictions | None = None

    @property
    def open(self) -> pd.DataFrame:
        """The cases that are not trusted, in their order."""
        return self.table[self.table.trusted == 0]


def rank_labels(cohort: Cohort, cases: Sequence[Case], by: str | None = None, workers: int | None = None) -> Ranking:
    """Rank labels by themselves and their CTs alone, without any network.

    Args:
        cohort: The cohort.
        cases: Its cases that take part.
        by: The score that decides the order; default: ``outlier``.
        workers: Number of processes.

    Raises:
        UserError: Files that cannot be used, or a score that needs more.
    """
    refuse_score(by)
    return ordered(cohort, with_outlier(label_table(cases, workers)), by or "outlier")


def rank_judged(
    cohort: Cohort, cases: Sequence[Case], sources: Predictions, by: str | None = None, workers: int | None = None
) -> Ranking:
    """Rank labels also by predictions of networks that do not know them.

    Args:
        cohort: The cohort.
        cases: Its cases that take part.
        sources: The networks.
        by: The score that decides the order; default: ``surface_mm``.
        workers: Number of processes.

    Raises:
        UserError: Files that cannot be used, or a score that needs more.
    """
    refuse_score(by, sources.most_networks)
    labels = label_table(cases, workers)
    prepared = prepare_ranked(cases, sources.networks[0].network, sources.cache, workers)
    found = evidence_of(prepared, sources.networks, sources.cache)
    table = labels.merge(judged_table(cases, found), on="case_id", how="left", validate="1:1")
    notes = list(sources.notes)
    if n := len(cases) - len(found):
        notes.append(
            f"{n} of {len(cases)} cases were in the training of every network and are ranked last, by outlier."
        )
    if (middle := 1 - float(table.dice_error.median())) < LEAST_DICE:
        text = f"The median Dice of labels and predictions is {middle:.2f}: the networks are not trained enough"
        notes.append(f"{text}, and scores from predictions are worth little; more steps, e.g. steps=4000.")
    return replace(ordered(cohort, with_outlier(table), by or "surface_mm", notes=notes), source=sources)


def predictions_of(study: Path, cases: Sequence[Case], choice: Mapping[str, str], device: str = "auto") -> Predictions:
    """The networks of a study for a ranking; the cache is that of the trainings.

    Args:
        study: A study or a run folder.
        cases: The cases to rank.
        choice: Column of the condition -> value, for a study with several conditions.
        device: ``auto``, or a device by torch's name.

    Raises:
        UserError: A run is not done, or no network can judge a case.
    """
    networks, notes = networks_of(study, cases, choice, device)
    return Predictions(networks, Path(cache_folder()), notes, most_judges(networks, cases))


def refuse_score(by: str | None, networks: int = 0) -> None:
    """Refuse a score that is unknown, or that needs more networks than judge a case.

    Raises:
        UserError: One line with the score and how to get it.
    """
    needs = {score.name: score.needs for score in SCORES}
    if by is None:
        return
    if by not in needs:
        raise UserError(f"--by {by}: expected one of {', '.join(needs)}")
    if needs[by] != "labels" and not networks:
        raise UserError(f"--by {by}: needs {needs[by]}; give --run STUDY of networks that are done, or --folds 3")
    if needs[by] == "two networks" and networks < 2:
        raise UserError(
            f"--by {by}: needs two networks for a case, {networks} is there; --folds 3 --seeds 2 trains two"
        )


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
