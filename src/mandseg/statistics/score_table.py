"""The rows of cases.csv as arrays: every score of a data set by level, seed and case; NaN where a cell is missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mandseg.metrics.catalogue import METRICS, Metric
from mandseg.metrics.outcome import OUTCOMES, WORST_CASE
from mandseg.statistics.bootstrap import Distribution, Resampling, resampled_mean
from mandseg.statistics.columns import NOT_STATED, RATIO_COLUMN
from mandseg.statistics.comparison import RATIO_COMPARISON, Comparison, Level
from mandseg.statistics.variance import Floats, case_means
from mandseg.system.errors import UserError
from mandseg.system.wording import some_of, verb

NO_ROW = -1
LEARNED_DICE = 0.5
"""Below this mean Dice a network has not learned to find the mandible, so noise can hardly lower its score."""


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """Scores (or differences) of one metric on one data set at one level; NaN where a score is missing."""

    values: Floats  # (S, C)
    seeds: tuple[int, ...]
    cases: tuple[str, ...]
    subjects: tuple[str, ...]  # of each case

    def without_empty(self) -> "ScoreMatrix":
        """The same without the seeds and cases that have no score."""
        present = np.isfinite(self.values)
        if present.all():
            return self
        rows, columns = np.flatnonzero(present.any(axis=1)), np.flatnonzero(present.any(axis=0))
        return ScoreMatrix(
            self.values[np.ix_(rows, columns)],
            tuple(self.seeds[row] for row in rows),
            tuple(self.cases[column] for column in columns),
            tuple(self.subjects[column] for column in columns),
        )

    def select_seeds(self, seeds: Sequence[int]) -> "ScoreMatrix":
        """The rows of the given seeds, in the given order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return replace(self, values=self.values[rows], seeds=tuple(seeds))

    def complete_cases(self) -> "ScoreMatrix":
        """Only the cases that every seed scored."""
        columns = np.flatnonzero(np.isfinite(self.values).all(axis=0))
        return ScoreMatrix(
            self.values[:, columns],
            self.seeds,
            tuple(self.cases[column] for column in columns),
            tuple(self.subjects[column] for column in columns),
        )

    @cached_property
    def numbered_subjects(self) -> NDArray[np.intp]:
        """(C,) number of each case's subject."""
        return np.asarray(np.unique(np.asarray(self.subjects), return_inverse=True)[1], dtype=np.intp)

    def distribution(self, resampling: Resampling, stream: int) -> Distribution | None:
        """Distribution of the mean over cases; None where :func:`resampled_mean` gives none."""
        return resampled_mean(self.values, self.numbered_subjects, resampling, stream)

    def notes(self) -> tuple[str, ...]:
        """Limits of the numbers, in words."""
        holes, subjects = int((~np.isfinite(self.values)).sum()), len(set(self.subjects))
        lines = {
            f"{some_of(holes, self.values.size, 'case-seed pair', 'are')} missing": holes > 0,
            "one seed: the interval does not cover the variation between trainings": len(self.seeds) == 1,
            "two seeds: the variation between trainings is hardly known": len(self.seeds) == 2,
            f"{subjects} subjects: the interval assumes a normal distribution": 1 < subjects < 6,
            "one subject: no interval can be given": subjects == 1,
            f"{len(self.cases)} cases of {subjects} subjects, drawn by subject": 1 < subjects < len(self.cases),
        }
        return tuple(line for line, applies in lines.items() if applies)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """All scores of one data set, or of one group of its cases.

    Attributes:
        dataset: Name of the data set.
        group: Name of the group of cases, e.g. ``protocol=fov500``; empty for all cases.
        stream: Number of the data set. Data sets are resampled independently.
        levels: The levels, the baseline first.
        values: Metric column to scores (L, S, C).
        outcomes: (L, S, C) position in :data:`OUTCOMES`, -1 where a case was not tested.
    """

    dataset: str
    group: str
    stream: int
    levels: tuple[Level, ...]
    seeds: tuple[int, ...]
    cases: tuple[str, ...]
    subjects: tuple[str, ...]
    values: Mapping[str, Floats]
    outcomes: NDArray[np.int8]

    def scores(self, metric: Metric) -> dict[Level, ScoreMatrix]:
        """Scores at each level that has scores; seeds without scores are left out, cases are kept."""
        by_level = {}
        for level, values in zip(self.levels, self.values[metric.column], strict=True):
            rows = np.flatnonzero(np.isfinite(values).any(axis=1))
            if len(rows):
                seeds = tuple(self.seeds[row] for row in rows)
                kept = values if len(rows) == len(values) else values[rows]
                by_level[level] = ScoreMatrix(kept, seeds, self.cases, self.subjects)
        return by_level

    def count(self, level: Level, outcome: str | None = None) -> int:
        """Number of predictions at a level, all or with one outcome."""
        outcomes = self.outcomes[self.levels.index(level)]
        return int((outcomes != NO_ROW).sum() if outcome is None else (outcomes == OUTCOMES.index(outcome)).sum())

    def unlearned(self, level: Level) -> str:
        """Why the networks at a level have not learned: half of the predictions are empty, or the mean Dice is low.

        Returns:
            One phrase; empty where the networks have learned, or where no Dice was measured.
        """
        n, missed = self.count(level), self.count(level, "missed")
        dice = self.values["dice"][self.levels.index(level)] if "dice" in self.values else np.empty(0)
        known = dice[np.isfinite(dice)]
        if n and 2 * missed >= n:
            return f"{some_of(missed, n, 'prediction', 'are')} empty"
        if len(known) and known.mean() < LEARNED_DICE:
            return f"mean Dice is {known.mean():.3f}"
        return ""

    def fault_notes(self, *levels: Level) -> tuple[str, ...]:
        """A warning where predictions at the levels are missed or spurious."""
        faults = {name: sum(self.count(level, name) for level in levels) for name in WORST_CASE}
        counts, n = " and ".join(f"{n} {name}" for name, n in faults.items() if n), sum(faults.values())
        predictions = f"prediction{'' if n == 1 else 's'} {verb(n, 'count')}"
        line = f"{counts} {predictions} with worst-case scores: where they are rare, the interval is too narrow"
        return (line,) if counts else ()

    @property
    def n_faults(self) -> int:
        """Number of missed and spurious predictions."""
        return int(self._is_fault.sum())

    @property
    def _is_fault(self) -> NDArray[np.bool_]:
        return np.isin(self.outcomes, [OUTCOMES.index(fault) for fault in WORST_CASE])

    def without_faults(self) -> "ScoreTable":
        """The same without missed and spurious predictions."""
        values = {name: np.where(self._is_fault, np.nan, array) for name, array in self.values.items()}
        return replace(self, values=values, outcomes=np.where(self._is_fault, np.int8(NO_ROW), self.outcomes))

    def part(self, chosen: NDArray[np.bool_], group: str) -> "ScoreTable":
        """The chosen cases, (C,) bool, as a group."""
        columns = np.flatnonzero(chosen)
        return replace(
            self,
            group=group,
            cases=tuple(self.cases[column] for column in columns),
            subjects=tuple(self.subjects[column] for column in columns),
            values={name: array[:, :, columns] for name, array in self.values.items()},
            outcomes=self.outcomes[:, :, columns],
        )


def build_score_tables(
    cases: pd.DataFrame, comparison: Comparison, by: Sequence[str] = (), metrics: Sequence[Metric] = METRICS
) -> list[ScoreTable]:
    """The data sets of one arm in the order of the rows, each followed by its groups.

    Args:
        cases: Rows ``<compared column>, seed, dataset, case_id, subject_id, outcome``, one column per metric, and
            ``group_<name>`` for each name in ``by``.
        comparison: The compared column and its baseline.
        by: Grouping columns. Each of their values makes one more table. Cases without a value form their own group.
        metrics: The metrics to keep, beside those of the catalogue, which show whether a network has learned.

    Raises:
        UserError: A case has two rows at one level and seed.
    """
    names = [str(name) for name in cases.dataset.drop_duplicates()]
    score_tables = []
    for stream, name in enumerate(names):
        rows = cases[(cases.dataset == name).to_numpy()] if len(names) > 1 else cases
        score_table, first = _score_table(rows, name, stream, comparison, metrics)
        score_tables += [score_table, *_groups(score_table, first, by)]
    return score_tables


def _score_table(
    rows: pd.DataFrame, name: str, stream: int, comparison: Comparison, metrics: Sequence[Metric]
) -> tuple[ScoreTable, pd.DataFrame]:
    """The table of one data set, and one row for each of its cases, in the order of the table."""
    level_codes, level_values = pd.factorize(rows[comparison.column])
    seen = [comparison.level(value) for value in level_values]
    levels = comparison.ordered(seen)
    level = np.array([levels.index(value) for value in seen])[level_codes]
    seed, seeds = pd.factorize(rows.seed, sort=True)
    case, ids = pd.factorize(rows.case_id, sort=True)
    shape = (len(levels), len(seeds), len(ids))
    cell = np.ravel_multi_index((level, seed, case), shape)
    _refuse_repeated(cell, rows, name)
    codes = pd.Categorical(rows.outcome, categories=OUTCOMES).codes
    first = rows.drop_duplicates("case_id").set_index("case_id").loc[ids]
    kept = dict.fromkeys(metric.column for metric in (*METRICS, *metrics))
    score_table = ScoreTable(
        dataset=name,
        group="",
        stream=stream,
        levels=levels,
        seeds=tuple(int(value) for value in seeds),
        cases=tuple(map(str, ids)),
        subjects=tuple(map(str, first.subject_id)),
        values={score: _filled(shape, cell, rows[score].to_numpy(float)) for score in kept if score in rows},
        outcomes=_filled(shape, cell, codes, NO_ROW).astype(np.int8),
    )
    return score_table, first


def _filled(
    shape: tuple[int, ...], cell: NDArray[np.intp], values: NDArray[np.generic], empty: float = np.nan
) -> Floats:
    array = np.full(np.prod(shape), empty)
    array[cell] = values
    return array.reshape(shape)


def _refuse_repeated(cell: NDArray[np.intp], rows: pd.DataFrame, name: str) -> None:
    unique, first = np.unique(cell, return_index=True)
    if len(unique) < len(cell):
        row = rows.iloc[np.setdiff1d(np.arange(len(cell)), first)[0]]
        raise UserError(f"case {row.case_id} of data set {name}: scored twice at one level with seed {int(row.seed)}")


def _groups(score_table: ScoreTable, first: pd.DataFrame, by: Sequence[str]) -> Iterator[ScoreTable]:
    for name in by:
        stated = first[f"group_{name}"].fillna("").astype(str)
        values = stated.where(stated != "", NOT_STATED).to_numpy()
        for value in sorted(set(values)):
            yield score_table.part(values == value, f"{name}={value}")


def means_by_seed(cases: pd.DataFrame, metric: Metric, column: str = RATIO_COLUMN) -> pd.DataFrame:
    """The mean over cases of every training: ``dataset, <compared column>, seed, mean``."""
    grouped = cases.groupby(["dataset", column, "seed"], sort=False)[metric.column]
    return grouped.mean().dropna().rename("mean").reset_index()


def paired_differences(cases: pd.DataFrame, metric: Metric, comparison: Comparison = RATIO_COMPARISON) -> pd.DataFrame:
    """The difference of every case from the baseline.

    Returns:
        ``dataset, <compared column>, case_id, baseline, value, difference, n_seeds``: means over the seeds in which the
        case was scored at both levels. Cases without such a seed are left out. Empty without a baseline.
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
