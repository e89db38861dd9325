"""Figures of detection: scores and the truth in, one number out; intervals by a bootstrap over cases.

The functions take one list of scores, (n,), or one in each row, (..., n), and give a number for each list.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
RESAMPLES = 500  # of the cases, for intervals; a fixed seed, so that a table can be repeated
ENDS = (0.025, 0.975)
ROUNDING = 1e-9


def auroc(score: Floats, wrong: Bools) -> Floats:
    """Probability that what is wrong has a larger score than what is right, ties half; NaN without one of both."""
    n, m = wrong.sum(axis=-1), (~wrong).sum(axis=-1)
    ranks = (stats.rankdata(score, axis=-1) * wrong).sum(axis=-1)
    return _ratio(ranks - n * (n + 1) / 2, n * m)


def average_precision(score: Floats, wrong: Bools) -> Floats:
    """Mean precision at each wrong label, in the order of the score; NaN without one. Ties keep the worst order."""
    found = np.take_along_axis(wrong, np.lexsort((wrong, -score), axis=-1), axis=-1)
    precision = np.cumsum(found, axis=-1) / np.arange(1, wrong.shape[-1] + 1)
    return _ratio((precision * found).sum(axis=-1), wrong.sum(axis=-1))


def spearman(score: Floats, error: Floats) -> Floats:
    """Rank correlation with the true error; 0 if one of both is constant."""
    one, other = (stats.rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2 for values in (score, error))
    size = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    return np.where(size > 0, (one * other).sum(axis=-1) / np.where(size > 0, size, 1), 0.0)


def recovered_area(score: Floats, error: Floats) -> Floats:
    """(area of random - area) / (area of random - area of the oracle); 1 for the best order, 0 on average for random.

    The area is that under the error that remains when the first k labels are corrected, over k. So a budget of
    corrections is judged without any training. Labels with the same score are taken in a random order: the area is its
    mean over these orders. 0 if all errors are equal.
    """
    of_random, own, best = (_area(order, error) for order in (np.zeros_like(error), score, error))
    gained, most = of_random - own, of_random - best
    has_best = most > ROUNDING * error.sum(axis=-1)
    return np.where(has_best, gained / np.where(has_best, most, 1), 0.0)


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


def resamples(n: int) -> npt.NDArray[np.int64]:
    """Indices of the cases of each resample, (500, n)."""
    return np.random.default_rng(0).integers(max(n, 1), size=(RESAMPLES, n))


def ends(values: Floats | list[float]) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of the values that exist; NaN if there is none."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, ENDS)
    return float(low), float(high)


def _area(score: Floats, error: Floats) -> Floats:
    """Mean over k = 0 to n of the error that is left when the first k labels by a score are corrected.

    The label at place p, from 1, is left for k below p. Equal scores share the mean of their places.
    """
    places = stats.rankdata(-score, axis=-1)
    left: Floats = (error * places).sum(axis=-1) / (score.shape[-1] + 1)
    return left


def _from_above(counts: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Right and wrong voxels from the highest score down, and the cumulative wrong and right ones."""
    right, wrong = counts[..., 0, ::-1].astype(float), counts[..., 1, ::-1].astype(float)
    return right, wrong, np.cumsum(wrong, axis=-1), np.cumsum(right, axis=-1)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
