"""Train, validation and test for cases that come without: whole subjects are drawn, never single scans."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mandseg.data.case import Case
from mandseg.data.manifest import SPLITS
from mandseg.system.errors import UserError

FRACTIONS = (0.7, 0.1, 0.2)  # train, val, test


def split_by_subject(cases: Sequence[Case], fractions: Sequence[float], seed: int) -> list[Case]:
    """Give every case a split, all cases of a subject the same, in shares of the subjects.

    Args:
        cases: The cases; their present split is ignored.
        fractions: Shares of train, val and test, adding up to 1.
        seed: The draw; the same seed and the same subjects give the same splits.

    Raises:
        UserError: The fractions are not three shares of 1, or a share above 0 is left without a subject.
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.shape != (3,) or (shares < 0).any() or not np.isclose(shares.sum(), 1):
        raise UserError(f"fractions {', '.join(f'{f:g}' for f in fractions)}: expected three shares that add up to 1")
    subjects = sorted({case.subject_id for case in cases})
    ends = np.rint(np.cumsum(shares) * len(subjects)).astype(int)
    counts = np.diff(ends, prepend=0)
    if ((counts == 0) & (shares > 0)).any():
        numbers = ", ".join(f"{split} {n}" for split, n in zip(SPLITS, counts, strict=True))
        raise UserError(f"{len(subjects)} subjects are too few for these fractions: {numbers}")
    drawn = np.random.default_rng(seed).permutation(subjects)
    split_of = dict(zip(drawn.tolist(), np.repeat(SPLITS, counts).tolist(), strict=True))
    return [replace(case, split=split_of[case.subject_id]) for case in cases]
