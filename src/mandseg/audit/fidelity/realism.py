"""Two-sample comparison of real and simulated drawings of the same cases, quantity by quantity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from mandseg.audit.fidelity.quantities import GROUPS, QUANTITIES, Group

Floats = npt.NDArray[np.float64]
Table = Mapping[str, Floats]
"""By quantity: (C, R) numbers of C cases and R drawings of each; NaN where a drawing has none."""

SMALLEST_SPREAD = {"mm": 0.05, "": 0.01}
"""Smallest standard deviation of real values by unit: smaller differences do not matter."""


@dataclass(frozen=True)
class Comparison:
    """One quantity over the cases: its real and simulated distributions, and their distance."""

    quantity: str
    group: Group
    n_cases: int
    n_drawings: int
    real_median: float
    real_low: float
    """The quartiles."""
    real_high: float
    simulated_median: float
    simulated_low: float
    simulated_high: float
    wasserstein: float
    """Mean difference between the quantile functions, in the quantity's unit."""
    relative: float
    """The same, divided by the standard deviation of the real values."""
    ks: float
    """Largest difference between the distribution functions (Kolmogorov and Smirnov)."""
    ks_p: float
    """Its p value for independent samples (scipy, asymptotic)."""
    p: float
    """The p value of the Wasserstein distance; real and simulated drawings are exchanged within each case."""


@dataclass(frozen=True)
class Advantage:
    """Difference of the misfits of two simulations, with a 95 % interval over cases."""

    difference: float
    """Negative if the first fits better."""
    low: float
    high: float


def table(drawings: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, Floats]:
    """Arrange the quantities of C cases with R drawings each."""
    return {
        name: np.array([[drawing.get(name, np.nan) for drawing in case] for case in drawings]) for name in QUANTITIES
    }


def compare(real: Table, simulated: Table, n_permutations: int = 4000, seed: int = 0) -> list[Comparison]:
    """Compare every quantity that at least two cases have in a real and a simulated drawing.

    The p value does not need independent drawings of a case. If people and simulation have the same distribution, each
    of the R + 1 drawings of a case is equally likely to be the real one.

    Args:
        real: (C, 1) of each quantity.
        simulated: (C, R) of each quantity, of the same cases.
        n_permutations: Number of random exchanges.
        seed: Seed of the exchanges.
    """
    found = []
    for name, quantity in QUANTITIES.items():
        both = np.concatenate([real[name], simulated[name]], axis=1)
        both = both[np.isfinite(both[:, 0]) & np.isfinite(both[:, 1:]).any(axis=1)]
        if len(both) >= 2:
            found.append(_compare(name, quantity.group, both, n_permutations, np.random.default_rng(seed)))
    return found


def misfit(comparisons: Sequence[Comparison]) -> float:
    """One number for the distance of a simulation: mean relative distance in each group, averaged over groups."""
    return _mean_of_groups([(c.group, c.relative) for c in comparisons])


def misfit_of(real: Table, simulated: Table) -> float:
    """The misfit without the tests, which is fast enough for a fit."""
    found = []
    for name, quantity in QUANTITIES.items():
        own, other = (values[np.isfinite(values)] for values in (real[name], simulated[name]))
        if len(own) >= 2 and len(other):
            found.append((quantity.group, relative_distance(own, other, quantity.unit)))
    return _mean_of_groups(found)


def advantage(real: Table, first: Table, second: Table, n_resamples: int = 500, seed: int = 0) -> Advantage:
    """Compare the misfits of two simulations of the same cases; the interval is a percentile bootstrap over cases.

    Args:
        real: (C, 1) of each quantity.
        first: (C, R) of each quantity.
        second: (C, R) of each quantity.
        n_resamples: Number of resamples of the cases.
        seed: Seed of the resamples.
    """
    rng, n_cases = np.random.default_rng(seed), len(real["dice"])

    def difference(cases: npt.NDArray[np.intp]) -> float:
        own, one, other = ({name: values[cases] for name, values in t.items()} for t in (real, first, second))
        return misfit_of(own, one) - misfit_of(own, other)

    resampled = [difference(rng.integers(n_cases, size=n_cases)) for _ in range(n_resamples)]
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return Advantage(difference(np.arange(n_cases)), low, high)


def _mean_of_groups(relative: Sequence[tuple[Group, float]]) -> float:
    by_group = [[value for group, value in relative if group == wanted] for wanted in GROUPS]
    return float(np.mean([np.mean(values) for values in by_group if values]))


def relative_distance(real: Floats, simulated: Floats, unit: str) -> float:
    """Wasserstein distance of two samples divided by the standard deviation of the first."""
    return float(stats.wasserstein_distance(real, simulated) / max(float(np.std(real)), SMALLEST_SPREAD[unit]))


def _compare(name: str, group: Group, both: Floats, n_permutations: int, rng: np.random.Generator) -> Comparison:
    """Compare (C, 1 + R) numbers of which the first column is real."""
    real, simulated = both[:, 0], both[:, 1:][np.isfinite(both[:, 1:])]
    real_low, real_median, real_high = np.quantile(real, [0.25, 0.5, 0.75]).tolist()
    low, median, high = np.quantile(simulated, [0.25, 0.5, 0.75]).tolist()
    ks = stats.ks_2samp(real, simulated, method="asymp")
    return Comparison(
        quantity=name,
        group=group,
        n_cases=len(real),
        n_drawings=len(simulated),
        real_median=real_median,
        real_low=real_low,
        real_high=real_high,
        simulated_median=median,
        simulated_low=low,
        simulated_high=high,
        wasserstein=float(stats.wasserstein_distance(real, simulated)),
        relative=relative_distance(real, simulated, QUANTITIES[name].unit),
        ks=float(ks.statistic),
        ks_p=float(ks.pvalue),
        p=exchange_p(both, n_permutations, rng),
    )


def exchange_p(both: Floats, n_permutations: int, rng: np.random.Generator) -> float:
    """The p value of the Wasserstein distance between the first column and the others, exchanged within rows.

    Args:
        both: (C, 1 + R), the first column finite, NaN where a drawing has no value.
        n_permutations: Number of random exchanges.
        rng: Random generator.
    """
    keys = rng.random((n_permutations, *both.shape))
    chosen = np.argmin(np.where(np.isfinite(both), keys, np.inf), axis=2)  # (P, C): which column plays the real one
    chosen = np.concatenate([np.zeros((1, len(both)), chosen.dtype), chosen])
    distances = _wasserstein(both, chosen)
    return float(np.mean(distances >= distances[0] - 1e-12))


def _wasserstein(both: Floats, chosen: npt.NDArray[np.intp]) -> Floats:
    """Distance between the chosen element of each row and all others; (P, C) choices -> (P,)."""
    is_chosen = chosen[:, :, None] == np.arange(both.shape[1])  # (P, C, 1 + R)
    order = np.argsort(both, axis=None)[: np.count_nonzero(np.isfinite(both))]  # NaN sort last
    steps = np.diff(both.ravel()[order])
    n_below = np.cumsum(is_chosen.reshape(len(chosen), -1)[:, order], axis=1)[:, :-1]
    n_all = np.arange(1, len(order))
    difference = n_below / both.shape[0] - (n_all - n_below) / (len(order) - both.shape[0])
    return np.asarray(np.abs(difference) @ steps, np.float64)
