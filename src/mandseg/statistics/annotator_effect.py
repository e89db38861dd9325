"""Mean of each annotator, shrunken to the mean of all: few values of many annotators in, means with intervals out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from mandseg.system.wording import count

Floats = npt.NDArray[np.float64]

SHARES = np.linspace(0.025, 0.975, 20)  # of the variance between annotators, in the variance of a value


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
    known = sorted(name for name, own in values.items() if len(own))
    y = np.array([value for name in known for value in values[name]])
    if len(y) < 2:
        raise ValueError(f"{count(len(y), 'value')}: expected two or more")
    of = np.repeat(np.arange(len(known)), [len(values[name]) for name in known])
    fits = [_Fit.at(share, y, of) for share in SHARES]
    weights = np.exp(np.array([fit.likelihood for fit in fits]) - max(fit.likelihood for fit in fits))
    weights /= weights.sum()
    reach = float(special.stdtrit(len(y) - 1, (1 + confidence) / 2))
    effects = {}
    for name in sorted(set(names)):
        own = of == known.index(name) if name in known else np.zeros(len(y), bool)
        means, variances = np.array([fit.of_annotator(own) for fit in fits]).T
        mean = float(weights @ means)
        error = float(np.sqrt(weights @ (variances + (means - mean) ** 2)))
        effects[name] = Effect(mean, mean - reach * error, mean + reach * error, int(own.sum()))
    return effects


@dataclass(frozen=True)
class _Fit:
    """The model at one share of the variance between annotators."""

    share: float
    inverse: Floats  # of the correlation of the values, (n, n)
    residuals: Floats  # (n,)
    mean: float
    variance: float  # of a value
    likelihood: float  # restricted, without constants

    @classmethod
    def at(cls, share: float, y: Floats, of: npt.NDArray[np.intp]) -> "_Fit":
        correlation = np.where(of[:, None] == of, share, 0.0)
        np.fill_diagonal(correlation, 1.0)
        inverse = np.linalg.inv(correlation)
        mean = float((inverse @ y).sum() / inverse.sum())
        residuals = y - mean
        n = len(y) - 1
        variance = max(float(residuals @ inverse @ residuals) / n, 1e-12)
        log_determinant = float(np.linalg.slogdet(correlation)[1])
        likelihood = -0.5 * (n * np.log(variance) + log_determinant + np.log(inverse.sum()))
        return cls(share, inverse, residuals, mean, variance, float(likelihood))

    def of_annotator(self, own: npt.NDArray[np.bool_]) -> tuple[float, float]:
        """The mean of the annotator of these values, and its variance of prediction."""
        pull = self.share * self.inverse @ own
        unexplained = 1 - pull.sum()
        relative = self.share - self.share * float(own @ pull) + unexplained**2 / self.inverse.sum()
        return self.mean + float(pull @ self.residuals), self.variance * float(relative)
