"""A learned score: ridge regression of the error of simulated labels on all other scores and measures."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
PENALTY = 10.0  # in labels: the weight of the prior that no feature matters
FOLDS = 5
FARTHEST = 6.0  # a standardised feature counts up to here


def cross_fitted(features: Floats, error: Floats, cases: Sequence[str], seed: int = 0) -> Floats:
    """Predict the error of each label by a ridge regression on the labels of other cases.

    After the idea of Quality Sentinel (arXiv 2406.00327) and SegAE (arXiv 2601.14406): quality is learned from
    simulated errors. Here with a linear model on a few numbers, because a cohort is small.

    Args:
        features: (N, F) of labels as they are and of labels with simulated noise; NaN counts as the mean.
        error: (N,) 0 for a label as it is, 1 - Dice for a simulated one.
        cases: The case of each label; the labels of a case are always left out together.
        seed: Seed of the division into five parts.

    Returns:
        (N,) predicted errors; larger is more suspicious.
    """
    names = sorted(set(cases))
    part = dict(
        zip(np.random.default_rng(seed).permutation(names).tolist(), np.arange(len(names)) % FOLDS, strict=True)
    )
    parts = np.array([part[name] for name in cases])
    predicted = np.full(len(error), float(error.mean()))
    for k in range(FOLDS):
        held_out = parts == k
        if held_out.any() and not held_out.all():
            predicted[held_out] = _Ridge(features[~held_out], error[~held_out])(features[held_out])
    return predicted


class _Ridge:
    """Ridge regression on standardised features, with an intercept that is not penalised."""

    def __init__(self, features: Floats, target: Floats) -> None:
        with np.errstate(invalid="ignore"):
            known = np.where(np.isfinite(features), features, np.nan)
            has = np.isfinite(known).any(axis=0)
            self._mean = np.where(has, np.nanmean(np.where(has, known, 0.0), axis=0), 0.0)
            spread = np.where(has, np.nanstd(np.where(has, known, 0.0), axis=0), 0.0)
        self._scale = np.where(spread > 0, spread, 1.0)
        x = self._standard(features)
        self._offset = float(target.mean())
        gram = x.T @ x + PENALTY * np.eye(x.shape[1])
        self._weights = np.linalg.solve(gram, x.T @ (target - self._offset))

    def __call__(self, features: Floats) -> Floats:
        return np.asarray(self._standard(features) @ self._weights + self._offset, np.float64)

    def _standard(self, features: Floats) -> Floats:
        x = np.nan_to_num((features - self._mean) / self._scale, nan=0.0)
        return np.asarray(np.clip(x, -FARTHEST, FARTHEST), np.float64)
