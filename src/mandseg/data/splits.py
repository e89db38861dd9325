"""Draws train, validation and test splits and folds; all scans of a subject stay together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mandseg.data.case import Case
from mandseg.data.manifest import SPLITS
from mandseg.system.errors import UserError
from mandseg.system.wording import count, verb

FRACTIONS = (0.7, 0.1, 0.2)  # train, val, test


@dataclass(frozen=True)
class Splitting:
    """How cases without a split get one."""

    fractions: Sequence[float] = FRACTIONS
    """Shares of train, val and test among the subjects."""
    seed: int = 0
    all_in: str = ""
    """One split for all cases, for any source; empty: none."""
    if_too_few: str = ""
    """The split of all cases if the subjects are too few for the fractions; empty: that is an error."""


def split_cases(cases: Sequence[Case], splitting: Splitting) -> tuple[list[Case], str]:
    """Give all cases a split, unless some have one already.

    Returns:
        The cases, and a note if splits were drawn or wishes for them are not applied; otherwise the empty string.

    Raises:
        UserError: ``all_in`` is not a split, or the fractions do not fit.
    """
    if splitting.all_in and splitting.all_in not in SPLITS:
        raise UserError(f"all in {splitting.all_in!r}: expected one of {', '.join(SPLITS)}")
    if splitting.all_in:
        return [replace(case, split=splitting.all_in) for case in cases], ""
    if not cases or any(case.split for case in cases):
        is_asked = bool(cases) and (tuple(splitting.fractions) != FRACTIONS or splitting.seed != 0)
        unused = "the source has splits, so --fractions and --split-seed are not applied" if is_asked else ""
        return list(cases), unused
    shares = ", ".join(f"{share:g}" for share in splitting.fractions)
    note = f"no splits given: subjects drawn with seed {splitting.seed}, fractions {shares}"
    try:
        return split_by_subject(cases, splitting.fractions, splitting.seed), note
    except UserError as error:
        if not splitting.if_too_few:
            raise
        text = f"all are in {splitting.if_too_few}; --fractions or --all-in puts them elsewhere"
        return [replace(case, split=splitting.if_too_few) for case in cases], f"{error.problems[0]}: {text}"


def split_by_subject(cases: Sequence[Case], fractions: Sequence[float], seed: int) -> list[Case]:
    """Draw a split for every subject and give it to all cases of the subject.

    Args:
        cases: The cases; their own split is ignored.
        fractions: Shares of train, val and test, adding up to 1.
        seed: The same seed and the same subjects give the same splits.

    Raises:
        UserError: The fractions are not three shares of 1, or a share above 0 gets no subject.
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.shape != (3,) or (shares < 0).any() or not np.isclose(shares.sum(), 1):
        raise UserError(f"fractions {', '.join(f'{f:g}' for f in fractions)}: expected three shares that add up to 1")
    subjects = sorted({case.subject_id for case in cases})
    ends = np.rint(np.cumsum(shares) * len(subjects)).astype(int)
    counts = np.diff(ends, prepend=0)
    if ((counts == 0) & (shares > 0)).any():
        numbers = ", ".join(f"{split} {n}" for split, n in zip(SPLITS, counts, strict=True))
        raise UserError(
            f"{count(len(subjects), 'subject')} {verb(len(subjects), 'are')} too few for these fractions: {numbers}"
        )
    drawn = np.random.default_rng(seed).permutation(subjects)
    split_of = dict(zip(drawn.tolist(), np.repeat(SPLITS, counts).tolist(), strict=True))
    return [replace(case, split=split_of[case.subject_id]) for case in cases]


def fold_of_cases(
    cases: Sequence[Case],
    k: int,
    seed: int = 0,
    first: Callable[[Sequence[Case]], int | str] = lambda own: -len(own),
) -> dict[str, int]:
    """case_id -> its fold, from 0, for out-of-fold predictions; all cases of a subject are in one fold.

    Subjects are drawn in random order and sorted. Each goes to the fold with the fewest cases so far. If all subjects
    have one case, the folds differ by at most one case.

    Args:
        cases: The cases; their splits are ignored.
        k: The number of folds.
        seed: The same seed and the same subjects give the same folds in any order of the cases.
        first: A value of the cases of a subject by which subjects are sorted; by default those with most cases first.

    Raises:
        UserError: Fewer than two folds, or more than there are subjects.
    """
    cases_of: dict[str, list[Case]] = {}
    for case in cases:
        cases_of.setdefault(case.subject_id, []).append(case)
    if isinstance(k, bool) or not isinstance(k, int) or not 2 <= k <= len(cases_of):
        raise UserError(
            f"{count(k, 'fold')} of {count(len(cases_of), 'subject')}: expected 2 or more, and a subject for each"
        )
    drawn: list[str] = np.random.default_rng(seed).permutation(sorted(cases_of)).tolist()
    size = [0] * k
    fold_of: dict[str, int] = {}
    for subject in sorted(drawn, key=lambda name: first(cases_of[name])):  # stable: the random order stays among equals
        fold_of[subject] = size.index(min(size))
        size[fold_of[subject]] += len(cases_of[subject])
    return {case.case_id: fold_of[case.subject_id] for case in cases}
