"""The rows of cases.csv as arrays: every score of a data set by level, seed and case, missing cells as NaN."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mandseg.metrics.catalogue import METRICS, Metric
from mandseg.metrics.mask_pair import OUTCOMES, WORST_CASE
from mandseg.statistics.bootstrap import Distribution, Resampling, resampled_mean
from mandseg.statistics.columns import NOT_STATED
from mandseg.statistics.comparison import Comparison, Level
from mandseg.statistics.variance import Floats
from mandseg.system.errors import UserError

NO_ROW = -1
LEARNED_DICE = 0.5
"""Below this mean Dice a network has not learned to find the mandible: noise cannot take much from it."""


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """One metric on one data set at one level (or of a difference); NaN where a case was not scored for a seed."""

    values: Floats  # (S, C)
    seeds: tuple[int, ...]
    cases: tuple[str, ...]
    subjects: tuple[str, ...]  # of each case

    def without_empty(self) -> "ScoreMatrix":
        """Without seeds and cases that hold no score at all."""
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
        """The rows of some seeds, in their order."""
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
        """Distribution of the mean over cases; None where it cannot be given."""
        return resampled_mean(self.values, self.numbered_subjects, resampling, stream)

    def notes(self) -> tuple[str, ...]:
        """What the numbers cannot say, in words."""
        holes, subjects = int((~np.isfinite(self.values)).sum()), len(set(self.subjects))
        lines = {
            f"{holes} of {self.values.size} case-seed pairs are missing": holes > 0,
            "one seed: the interval does not cover the variation between trainings": len(self.seeds) == 1,
            "two seeds: the variation between trainings is hardly known": len(self.seeds) == 2,
            f"{subjects} subjects: the interval leans on a normal distribution": 1 < subjects < 6,
            "one subject: no interval can be given": subjects == 1,
            f"{len(self.cases)} cases of {subjects} subjects, drawn by subject": 1 < subjects < len(self.cases),
        }
        return tuple(line for line, said in lines.items() if said)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """All scores of one data set, or of one group of its cases.

    Attributes:
        dataset: Its name.
        group: Which of its cases, e.g. ``protocol=fov500``; empty: all.
        stream: Number of the data set among those that are resampled independently.
        levels: The baseline first.
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
        """Scores at each level that has any; seeds without any are left out, cases are not."""
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
        there = self.outcomes[self.levels.index(level)]
        return int((there != NO_ROW).sum() if outcome is None else (there == OUTCOMES.index(outcome)).sum())

    def unlearned(self, level: Level) -> str:
        """Why networks at a level are no measure for others: most of them found nothing, or their Dice is poor.

        Returns:
            One phrase; empty where they have learned, or where no Dice was measured.
        """
        n, missed = self.count(level), self.count(level, "missed")
        dice = self.values["dice"][self.levels.index(level)] if "dice" in self.values else np.empty(0)
        known = dice[np.isfinite(dice)]
        if n and 2 * missed >= n:
            return f"{missed} of {n} predictions are empty"
        if len(known) and known.mean() < LEARNED_DICE:
            return f"mean Dice is {known.mean():.3f}"
        return ""

    @property
    def n_faults(self) -> int:
        """Number of missed and spurious predictions."""
        return int(self._is_fault.sum())

    @property
    def _is_fault(self) -> NDArray[np.bool_]:
        return np.isin(self.outcomes, [OUTCOMES.index(fault) for fault in WORST_CASE])

    def without_faults(self) -> "ScoreTable":
        """Missed and spurious predictions as if they had not been made."""
        values = {name: np.where(self._is_fault, np.nan, array) for name, array in self.values.items()}
        return replace(self, values=values, outcomes=np.where(self._is_fault, np.int8(NO_ROW), self.outcomes))

    def part(self, chosen: NDArray[np.bool_], group: str) -> "ScoreTable":
        """Some of the cases."""
        columns = np.flatnonzero(chosen)
        return replace(
            self,
            group=group,
            cases=tuple(self.cases[column] for column in columns),
            subjects=tuple(self.subjects[column] for column in columns),
            values={name: array[:, :, columns] for name, array in self.values.items()},
            outcomes=self.outcomes[:, :, columns],
        )


def build_score_tables(cases: pd.DataFrame, comparison: Comparison, by: Sequence[str] = ()) -> list[ScoreTable]:
    """The data sets of one arm in the order of the rows, each followed by its groups.

    Args:
        cases: Rows ``<compared column>, seed, dataset, case_id, subject_id, outcome``, one column per metric, and
            ``group_<name>`` for each name in ``by``.
        comparison: The compared column and its baseline.
        by: Grouping columns; each of their values makes one more cube. A case without a value is in a group of its own.

    Raises:
        UserError: One case is there twice at one level and seed.
    """
    names = [str(name) for name in cases.dataset.drop_duplicates()]
    score_tables = []
    for stream, name in enumerate(names):
        rows = cases[(cases.dataset == name).to_numpy()] if len(names) > 1 else cases
        score_table, first = _cube(rows, name, stream, comparison)
        score_tables += [score_table, *_groups(score_table, first, by)]
    return score_tables


def _cube(rows: pd.DataFrame, name: str, stream: int, comparison: Comparison) -> tuple[ScoreTable, pd.DataFrame]:
    """One data set, and one row for each of its cases, in the order of the cube."""
    level_codes, found = pd.factorize(rows[comparison.column])
    seen = [comparison.level(value) for value in found]
    levels = comparison.ordered(seen)
    level = np.array([levels.index(value) for value in seen])[level_codes]
    seed, seeds = pd.factorize(rows.seed, sort=True)
    case, ids = pd.factorize(rows.case_id, sort=True)
    shape = (len(levels), len(seeds), len(ids))
    cell = np.ravel_multi_index((level, seed, case), shape)
    _refuse_twice(cell, rows, name)
    codes = pd.Categorical(rows.outcome, categories=OUTCOMES).codes
    first = rows.drop_duplicates("case_id").set_index("case_id").loc[ids]
    score_table = ScoreTable(
        dataset=name,
        group="",
        stream=stream,
        levels=levels,
        seeds=tuple(int(value) for value in seeds),
        cases=tuple(map(str, ids)),
        subjects=tuple(map(str, first.subject_id)),
        values={m.column: _filled(shape, cell, rows[m.column].to_numpy(float)) for m in METRICS if m.column in rows},
        outcomes=_filled(shape, cell, codes, NO_ROW).astype(np.int8),
    )
    return score_table, first


def _filled(
    shape: tuple[int, ...], cell: NDArray[np.intp], values: NDArray[np.generic], empty: float = np.nan
) -> Floats:
    array = np.full(np.prod(shape), empty)
    array[cell] = values
    return array.reshape(shape)


def _refuse_twice(cell: NDArray[np.intp], rows: pd.DataFrame, name: str) -> None:
    unique, first = np.unique(cell, return_index=True)
    if len(unique) < len(cell):
        row = rows.iloc[np.setdiff1d(np.arange(len(cell)), first)[0]]
        raise UserError(f"case {row.case_id} of data set {name}: scored twice at one level with seed {row.seed:g}")


def _groups(score_table: ScoreTable, first: pd.DataFrame, by: Sequence[str]) -> Iterator[ScoreTable]:
    for name in by:
        stated = first[f"group_{name}"].fillna("").astype(str)
        values = stated.where(stated != "", NOT_STATED).to_numpy()
        for value in sorted(set(values)):
            yield score_table.part(values == value, f"{name}={value}")
