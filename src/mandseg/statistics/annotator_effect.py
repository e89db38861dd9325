"""Mean of each annotator, shrunken to the mean of all: few cases of many annotators in, means with intervals out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import special

from mandseg.system.wording import count

Floats = npt.NDArray[np.float64]

SHARES = np.linspace(0.025, 0.975, 20)  # of the variance between annotators, in the variance of a value
REGION_SHARES = (0.02, 0.1, 0.25, 0.45, 0.7)  # the same, of all regions together and of each region by itself
CASE_SHARES = (0.02, 0.1, 0.25, 0.45)  # of the variance between cases, of all regions together
LARGEST_SUM = 0.97  # of three shares


@dataclass(frozen=True)
class Effect:
    """The mean of an annotator.

    Attributes:
        mean: The shrunken mean.
        low: Lower end of its interval.
        high: Upper end.
        n: Values of this annotator.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is on one side of 0."""
        return self.low > 0 or self.high < 0


def annotator_effects(
    values: Mapping[str, Sequence[float]], names: Iterable[str], confidence: float = 0.95
) -> dict[str, Effect]:
    """The mean of each annotator by a random-effects model: value = mean + annotator + case.

    For a given share of the variance between annotators the means are the best linear unbiased predictions (Robinson
    1991, doi 10.1214/ss/1177011926). Few annotators have more than one value, so the share is hardly known: means and
    variances are averaged over a grid of shares, weighted by the restricted likelihood. An annotator without a value
    gets the mean of all, with the wide interval of a new annotator. The interval is Student's t with n - 1 degrees of
    freedom.

    Args:
        values: Annotator to values, at least two in all.
        names: The annotators whose means are wanted.
        confidence: Of the intervals.

    Raises:
        ValueError: Fewer than two values.
    """
    one = {name: np.reshape(np.asarray(own, float), (-1, 1)) for name, own in values.items()}
    return {name: own[0] for name, own in _effects(one, names, confidence, [(s, 0.0, 0.0) for s in SHARES]).items()}


def region_effects(
    values: Mapping[str, Floats], names: Iterable[str], confidence: float = 0.95
) -> dict[str, list[Effect]]:
    """The mean of each annotator in each region, by one model of all regions.

    value of a case in a region = mean of the region + annotator + annotator in the region + case + rest. Each region
    has its own scale, the standard deviation within annotators. As in :func:`annotator_effects`, means and variances
    are averaged over a grid of shares of the three variances, weighted by the restricted likelihood. An annotator who
    draws all regions too large is known from all of them, so few cases say more than region by region.

    Args:
        values: Annotator to values, cases x regions; NaN where a case lacks a region. Each case and each region has a
            value.
        names: The annotators whose means are wanted.
        confidence: Of the intervals.

    Returns:
        Annotator to effects, in the order of the regions.

    Raises:
        ValueError: Fewer than two cases.
    """
    shares = product(REGION_SHARES, REGION_SHARES, CASE_SHARES)
    return _effects(values, names, confidence, [triple for triple in shares if sum(triple) < LARGEST_SUM])


def _effects(
    values: Mapping[str, Floats], names: Iterable[str], confidence: float, shares: Sequence[tuple[float, float, float]]
) -> dict[str, list[Effect]]:
    known = sorted(name for name, own in values.items() if len(own))
    n = sum(len(values[name]) for name in known)
    if n < 2:
        raise ValueError(f"{count(n, 'value')}: expected two or more")
    wanted = sorted(set(names))
    everyone = [*known, *(name for name in wanted if name not in known)]
    of = np.repeat(np.arange(len(known)), [len(values[name]) for name in known])
    y = np.concatenate([values[name] for name in known])
    scale = _scale(y, of)
    fits = [_Fit.at(triple, y / scale, of, len(everyone)) for triple in shares]
    weights = np.exp(np.array([fit.likelihood for fit in fits]) - max(fit.likelihood for fit in fits))
    weights /= weights.sum()
    means = np.array([fit.means for fit in fits])
    mean = np.tensordot(weights, means, 1)
    variance = np.tensordot(weights, np.array([fit.variances for fit in fits]) + (means - mean) ** 2, 1)
    reach = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * np.sqrt(variance)
    numbers = np.stack([mean * scale, (mean - reach) * scale, (mean + reach) * scale], -1)
    found = {}
    for name in wanted:
        rows = numbers[everyone.index(name)]
        n_values = (~np.isnan(values[name])).sum(0) if name in known else np.zeros(len(scale))
        found[name] = [
            Effect(float(middle), float(low), float(high), int(own))
            for (middle, low, high), own in zip(rows, n_values, strict=True)
        ]
    return found


def _scale(y: Floats, of: npt.NDArray[np.intp]) -> Floats:
    """The standard deviation within annotators of each region; 1 where no annotator has two different values."""
    squares, freedom = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for annotator in np.unique(of):
        own = y[of == annotator]
        n = (~np.isnan(own)).sum(0)
        centred = own - np.where(n, np.nansum(own, 0) / np.maximum(n, 1), 0.0)
        squares += np.nansum(centred**2, 0)
        freedom += np.maximum(n - 1, 0)
    scale = np.sqrt(squares / np.maximum(freedom, 1))
    return np.where(scale > 1e-9, scale, 1.0)


@dataclass(frozen=True)
class _Fit:
    """The model at one triple of shares: of an annotator, of an annotator in a region, and of a case."""

    means: Floats  # (annotators, regions)
    variances: Floats  # of the predictions of the means, (annotators, regions)
    likelihood: float  # restricted, without constants

    @classmethod
    def at(cls, shares: tuple[float, float, float], y: Floats, of: npt.NDArray[np.intp], n_annotators: int) -> "_Fit":
        annotator, in_region, case = shares
        rest = 1.0 - sum(shares)
        present = (~np.isnan(y)).astype(float)
        n, regions = present.sum(1), y.shape[1]
        z = np.nan_to_num(y)
        pull = case / (rest + case * n)  # the inverse of a case's correlation is (I - pull * ones) / rest
        sums = z.sum(1)
        information = np.zeros((n_annotators, regions, regions))
        np.add.at(information, of, present[:, :, None] * (np.eye(regions) - pull[:, None, None] * present[:, None, :]))
        score = np.zeros((n_annotators, regions))
        np.add.at(score, of, z - (pull * sums)[:, None] * present)
        information, score = information / rest, score / rest
        squares = float((z**2).sum() - pull @ sums**2) / rest
        prior = np.full((regions, regions), annotator) + in_region * np.eye(regions)
        grown = np.eye(regions) + prior @ information
        posterior = np.linalg.solve(grown, np.broadcast_to(prior, grown.shape))
        kept = np.eye(regions) - information @ posterior  # what of an annotator's information is about the mean of all
        of_mean = (kept @ information).sum(0)
        towards = np.einsum("aij,aj->i", kept, score)
        covariance = np.linalg.inv(of_mean)
        mean = covariance @ towards
        residual = squares - np.einsum("ai,aij,aj->", score, posterior, score) - mean @ towards
        freedom = n.sum() - regions
        variance = max(float(residual) / max(freedom, 1), 1e-12)
        determinant = ((n - 1) * np.log(rest) + np.log(rest + case * n))[n > 0].sum() + np.linalg.slogdet(grown)[
            1
        ].sum()
        likelihood = -0.5 * (freedom * np.log(variance) + determinant + np.linalg.slogdet(of_mean)[1])
        own = np.einsum("aij,aj->ai", posterior, score - information @ mean)
        common = kept.transpose(0, 2, 1)
        errors = posterior + common @ covariance @ kept
        return cls(mean + own, variance * np.diagonal(errors, axis1=1, axis2=2), float(likelihood))
