"""Figures of detection: scores and the truth in, one number out; and their intervals by a bootstrap over cases."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
RESAMPLES = 500  # of the cases, for intervals; a fixed seed, so that a table can be repeated
ENDS = (0.025, 0.975)


def auroc(score: Floats, wrong: Bools) -> float:
    """Probability that what is wrong has a larger score than what is right, ties half; NaN without one of both."""
    n, m = int(wrong.sum()), int((~wrong).sum())
    if not n or not m:
        return float("nan")
    return float((stats.rankdata(score)[wrong].sum() - n * (n + 1) / 2) / (n * m))


def average_precision(score: Floats, wrong: Bools) -> float:
    """Mean precision at each wrong label, in the order of the score; NaN without one. Ties keep the worst order."""
    if not wrong.any():
        return float("nan")
    found = wrong[np.lexsort((wrong, -score))]
    return float((np.cumsum(found)[found] / (np.flatnonzero(found) + 1)).mean())


def spearman(score: Floats, error: Floats) -> float:
    """Rank correlation with the true error; 0 if one of both is constant."""
    if not np.ptp(score) or not np.ptp(error):
        return 0.0
    return float(np.corrcoef(stats.rankdata(score), stats.rankdata(error))[0, 1])


def recovered_area(score: Floats, error: Floats) -> float:
    """(area of random - area) / (area of random - area of the oracle); 1 for the best order, 0 on average for random.

    The area is that under the error that remains when the first k labels are corrected, over k. So a budget of
    corrections is judged without any training.
    """
    best, own = (_area(error[np.argsort(-key, kind="stable")]) for key in (error, score))
    random = _area(np.full(len(error), error.mean()))
    return (random - own) / (random - best) if random > best else 0.0


def auroc_of_counts(counts: Floats) -> Floats:
    """AUROC of voxels that are counted by their score, ties half; NaN without wrong or without right ones.

    Args:
        counts: (..., 2, S): right and wrong voxels by score, in rising order.
    """
    right, wrong, found, false = _from_above(counts)
    n_wrong, n_right = found[..., -1], false[..., -1]
    pairs = (wrong * (n_right[..., None] - false + right / 2)).sum(axis=-1)
    return _ratio(pairs, n_wrong * n_right)


def average_precision_of_counts(counts: Floats) -> Floats:
    """Average precision of voxels that are counted by their score; voxels with one score are taken together.

    Args:
        counts: As for :func:`auroc_of_counts`.
    """
    _, wrong, found, false = _from_above(counts)
    precision = found / np.maximum(found + false, 1)
    return _ratio((wrong * precision).sum(axis=-1), found[..., -1])


def interval(figure: Callable[[npt.NDArray[np.int64]], float], n: int) -> tuple[float, float]:
    """The 95 % interval of a figure by resampling cases; NaN if it exists in no resample.

    Args:
        figure: Of the cases with these indices, (n,).
        n: Number of cases.
    """
    drawn = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    return ends([figure(own) for own in drawn])


def ends(values: Floats | list[float]) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of the values that exist; NaN if there is none."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, ENDS)
    return float(low), float(high)


def _area(ordered_error: Floats) -> float:
    return float((ordered_error.sum() - np.concatenate([[0.0], np.cumsum(ordered_error)])).mean())


def _from_above(counts: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Right and wrong voxels from the highest score down, and the cumulative wrong and right ones."""
    right, wrong = counts[..., 0, ::-1].astype(float), counts[..., 1, ::-1].astype(float)
    return right, wrong, np.cumsum(wrong, axis=-1), np.cumsum(right, axis=-1)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
