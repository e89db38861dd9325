"""A comparison: a column of the cases and its baseline level; and the arms, in which all other columns are equal."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from mandseg.statistics.columns import COMPARABLE, RATIO_COLUMN, USUAL, is_worth_stating
from mandseg.system.errors import UserError
from mandseg.system.wording import expected_one_of

Level = float | str
OWN_RANKING = re.compile(r".+-[0-9a-f]{6}")
"""A ranking from a file: its name and a hash."""


def in_words(column: str, value: str) -> str:
    """A value of a column in a sentence.

    >>> in_words("clean_budget", "5"), in_words("ranking", "mine-4e77fa"), in_words("variant", "")
    ('clean budget 5', 'ranking file mine-4e77fa', 'variant without changes')
    """
    is_file = column == "ranking" and OWN_RANKING.fullmatch(value)
    return f"{column.replace('_', ' ')} {'file ' if is_file else ''}{value or 'without changes'}"


@dataclass(frozen=True)
class Comparison:
    """The levels of one column, each compared with a baseline on the same cases and seeds.

    Args:
        column: One of :data:`COMPARABLE`.
        baseline: The level that the others are compared with.
    """

    column: str
    baseline: Level

    @property
    def is_dose(self) -> bool:
        """Whether the levels are ordered amounts."""
        return self.column == RATIO_COLUMN

    @property
    def has_tolerance(self) -> bool:
        """Whether a tolerated level and a curve can be given: both begin at ratio 0."""
        return self.is_dose and self.baseline == 0

    @property
    def noun(self) -> str:
        """The column in a sentence: ``noise ratio``, ``clean budget``, ``method``."""
        return self.column.replace("_", " ")

    @property
    def label(self) -> str:
        """The column at an axis and in the head of a table."""
        return self.noun.capitalize()

    def level(self, value: object) -> Level:
        """A cell of the column as a level: a number for the noise ratio, otherwise a name."""
        return float(str(value)) if self.is_dose else str(value)

    def ordered(self, levels: Sequence[Level]) -> tuple[Level, ...]:
        """The baseline first, then ratios ascending, or names in the order given."""
        rest = [level for level in dict.fromkeys(levels) if level != self.baseline]
        first = [self.baseline] if self.baseline in levels else []
        return (*first, *(sorted(rest, key=float) if self.is_dose else rest))

    def name(self, level: Level) -> str:
        """A level in a sentence: ``noise ratio 0.2``, ``method gce``."""
        return f"noise ratio {level:g}" if self.is_dose else in_words(self.column, str(level))


RATIO_COMPARISON = Comparison(RATIO_COLUMN, 0.0)


@dataclass(frozen=True)
class Arm:
    """Runs that differ only in the compared column and the seed; ``fixed`` is the condition that they share."""

    fixed: dict[str, Level]
    cases: pd.DataFrame

    @property
    def title(self) -> str:
        """The shared condition in words."""
        stated = {column: value for column, value in self.fixed.items() if is_worth_stating(column, value)}
        return ", ".join(in_words(column, str(value)) for column, value in stated.items())


def choose_comparison(cases: pd.DataFrame, column: str = RATIO_COLUMN, baseline: Level | None = None) -> Comparison:
    """Compare the levels of a column with one of them.

    Args:
        cases: The pooled cases of a study.
        column: One of :data:`COMPARABLE`.
        baseline: The level to compare with. By default 0 for the noise ratio and the clean budget, random for the
            ranking, otherwise the level with most runs (the first of several).

    Raises:
        UserError: The column cannot be compared, has only one level, or never has the baseline.
    """
    if column not in COMPARABLE or column not in cases:
        raise UserError(f"compare={column}: {expected_one_of(column, [c for c in COMPARABLE if c in cases])}")
    if column == RATIO_COLUMN and baseline is None:
        return RATIO_COMPARISON
    comparison = Comparison(column, "")
    runs = [comparison.level(value) for value in _with_ranking(cases, column).drop_duplicates("run")[column]]
    levels = list(dict.fromkeys(runs))
    if len(levels) < 2:
        raise UserError(f"compare={column}: all runs have {column} {_level_list(levels)}, there is nothing to compare")
    usual = {"clean_budget": USUAL["clean_budget"], "ranking": "random"}.get(column)
    most = usual if usual in levels else max(levels, key=runs.count)
    wanted = most if baseline is None else _parsed(comparison, baseline)
    if wanted not in levels:
        raise UserError(f"baseline={baseline}: no run has this {column}, they have {_level_list(levels)}")
    return Comparison(column, wanted)


def split_arms(cases: pd.DataFrame, comparison: Comparison = RATIO_COMPARISON) -> list[Arm]:
    """Split pooled cases into arms, in the order of the runs.

    A run without trusted cases uses no ranking. Where clean budgets are compared, it is in the arm of every ranking;
    where rankings are compared, it is left out.
    """
    cases = _with_ranking(cases, comparison.column)
    shared = [column for column in COMPARABLE if column != comparison.column and column in cases]
    if comparison.column == "clean_budget" and "ranking" in shared:
        cases = _in_every_ranking(cases, [column for column in shared if column != "ranking"])
    return [
        Arm({c: float(str(v)) if c == RATIO_COLUMN else str(v) for c, v in zip(shared, values, strict=True)}, rows)
        for values, rows in cases.groupby(shared, sort=False)
    ]


def _with_ranking(cases: pd.DataFrame, column: str) -> pd.DataFrame:
    """The cases without those of runs that use no ranking, where rankings are compared and some run uses one."""
    ranked = cases[cases[column] != USUAL["ranking"]] if column == "ranking" else cases
    return ranked if len(ranked) else cases


def _in_every_ranking(cases: pd.DataFrame, others: list[str]) -> pd.DataFrame:
    unranked = cases.ranking == USUAL["ranking"]
    rankings = cases.loc[~unranked, [*others, "ranking"]].drop_duplicates()
    copies = cases[unranked].drop(columns="ranking").merge(rankings, on=others)
    alone = cases[unranked & ~cases.run.isin(copies.run)]
    return pd.concat([alone, copies[cases.columns], cases[~unranked]], ignore_index=True)


def check_groups(cases: pd.DataFrame, by: Sequence[str]) -> tuple[str, ...]:
    """The requested grouping columns, as they are named in ``cases``. "dataset" always groups and is dropped.

    Args:
        cases: The pooled cases of a study.
        by: Names of columns. A name with commas may come in parts, because a command line splits it at commas.

    Raises:
        UserError: The cases have no such column.
    """
    groups = [column.removeprefix("group_") for column in cases.columns if column.startswith("group_")]
    known = {_plain(spelled): name for name in ["dataset", *groups] for spelled in (f"group_{name}", name)}
    names = _columns_in([_plain(word) for word in by], known)
    if names is None:
        absent = next((word for word in by if _plain(word) not in known), ", ".join(by))
        raise UserError(f"by={absent}: the cases have no such column; {expected_one_of(absent, ['dataset', *groups])}")
    return tuple(dict.fromkeys(name for name in names if name != "dataset"))


def _columns_in(words: Sequence[str], known: Mapping[str, str]) -> list[str] | None:
    """The columns that the words name. Several words can form one name with commas. None if a word names no column."""
    if not words:
        return []
    for end in range(1, len(words) + 1):
        name = known.get(",".join(words[:end]))
        if name is not None and (rest := _columns_in(words[end:], known)) is not None:
            return [name, *rest]
    return None


def _plain(name: str) -> str:
    """A column's name without blanks around its commas."""
    return ",".join(part.strip() for part in name.split(","))


def _parsed(comparison: Comparison, baseline: Level) -> Level:
    try:
        return comparison.level(baseline)
    except ValueError:
        raise UserError(f"baseline={baseline}: expected a noise ratio, 0 to 1") from None


def _level_list(levels: Sequence[Level]) -> str:
    return ", ".join(f"{level:g}" if isinstance(level, float) else level or "(none)" for level in levels)
