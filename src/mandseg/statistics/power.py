"""Power of a design against a margin, and the smallest difference that the design detects with a given power."""

from scipy import optimize, stats

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
    return float(stats.nct.sf(critical, spread.degrees_of_freedom, margin / spread.variance**0.5))


def detectable_difference(spread: VarianceParts, tail: float, power: float = POWER) -> float:
    """The smallest true difference that is detected with the given power, two-sided.

    It is also the smallest margin for which non-inferiority is shown with this power if the true difference is 0.
    """
    if spread.variance <= 0:
        return 0.0
    error = spread.variance**0.5
    highest = (spread.quantile(1 - tail) + 10.0) * 2 * error
    return float(
        optimize.brentq(lambda margin: power_of(margin, spread, tail) - power, 0.0, highest, xtol=1e-4 * error)
    )
