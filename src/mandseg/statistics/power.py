"""Power of a design against a margin, and the smallest difference that the design detects with a given power."""

import math

from scipy import special

from mandseg.statistics.variance import VarianceParts

POWER = 0.8


def power_of(margin: float, spread: VarianceParts, tail: float) -> float:
    """Probability that the interval stays inside the margin (noncentral t).

    Args:
        margin: Distance of the margin from the true difference, in the unit of the score.
        spread: Parts of the variance of the difference.
        tail: One-sided error of the interval.
    """
    if spread.variance <= 0:
        return 1.0
    critical = spread.quantile(1 - tail)
    return _exceeds(critical, spread.degrees_of_freedom, margin / spread.variance**0.5)


def _exceeds(critical: float, degrees_of_freedom: float, shift: float) -> float:
    """Probability that a noncentral t exceeds a value."""
    power = 1 - float(special.nctdtr(degrees_of_freedom, shift, critical))
    if math.isnan(power):  # scipy.special has no value for shifts above 36; scipy.stats takes half a second to import
        from scipy import stats

        power = float(stats.nct.sf(critical, degrees_of_freedom, shift))
    return power


def detectable_difference(spread: VarianceParts, tail: float, power: float = POWER) -> float:
    """The smallest true difference that is detected with the given power, two-sided.

    It is also the smallest margin for which non-inferiority is shown with this power if the true difference is 0.
    """
    if spread.variance <= 0:
        return 0.0
    shift = float(special.nctdtrinc(spread.degrees_of_freedom, 1 - power, spread.quantile(1 - tail)))
    return shift * math.sqrt(spread.variance)
