"""The catalogue of dose measures. A new measure is one more entry of ``measures``; its columns and scores follow.

Each measure of the predicted contour is compared with that of the reference contour under the same dose. This gives two
scores: the error (prediction minus reference) and the absolute error, for which lower is better.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Literal

from mandseg.metrics.catalogue import Margin, Metric
from mandseg.system.errors import UserError

if TYPE_CHECKING:
    from mandseg.metrics.dose.histogram import Histogram
    from mandseg.metrics.mask_pair import MaskPair

LEVELS_GY = (44.0, 58.0)
"""Of 68 patients with osteoradionecrosis of the mandible, 81 % had V44 of 42 % or more and V58 of 25 % or more
(Mohamed et al. 2017, PMID 28733053, 131 matched patients without it; mean dose of the mandible 48.1 and 43.6 Gy)."""
ALLOWED_LEVELS_GY = (0.0, 200.0)
REFERENCE, PREDICTION, ERROR, ABSOLUTE = "_reference", "_prediction", "_error", "_abs_error"
"""Ends of a measure's columns."""
LEVEL_NAME = re.compile(r"v(\d+(?:\.\d+)?)_percent")


@dataclass(frozen=True)
class Measure:
    """One number of a dose-volume histogram.

    Attributes:
        name: The start of its columns, with its unit.
        label: Its name on a page.
        unit: Gy, or % of the volume.
        of: The function of a histogram; 0 for an empty structure.
        margin: The non-inferiority margin of its absolute error; None if none is stated.
    """

    name: str
    label: str
    unit: Literal["Gy", "%"]
    of: Callable[["Histogram"], float]
    margin: Margin | None

    @property
    def error(self) -> Metric:
        """Prediction minus reference."""
        of = partial(_error, measure=self)
        return Metric(self.name + ERROR, f"{self.label} error", self.unit, None, -inf, inf, 2, of, None, None)

    @property
    def absolute(self) -> Metric:
        """The size of the error, without its sign."""
        label = f"{self.label} absolute error"
        column, of = self.name + ABSOLUTE, partial(_absolute_error, measure=self)
        return Metric(column, label, self.unit, "lower", 0.0, inf, 2, of, None, self.margin)


def measures(levels_gy: Sequence[float] = LEVELS_GY) -> tuple[Measure, ...]:
    """Every measure: Dmean, D0.1cc, D2cc, and V at some doses.

    Args:
        levels_gy: The doses of the V-levels, in Gy.

    Raises:
        UserError: A dose is not between 0 and 200 Gy.
    """
    low, high = ALLOWED_LEVELS_GY
    if strange := [gray for gray in levels_gy if not low < gray <= high]:
        raise UserError(f"dose level {strange[0]:g} Gy: expected more than {low:g} and at most {high:g} Gy")
    return (
        Measure(
            *("dmean_gy", "Dmean", "Gy", lambda histogram: histogram.mean_gy),
            Margin(
                2.0, "less than half of the 4.5 Gy between patients with and without osteoradionecrosis (Mohamed 2017)"
            ),
        ),
        _hottest(0.1),
        _hottest(2.0),
        *(_share(gray) for gray in sorted(set(levels_gy))),
    )


def measures_of(columns: Iterable[str]) -> tuple[Measure, ...]:
    """The measures whose errors a table has."""
    names = set(columns)
    measured = [name.removesuffix(ERROR) for name in names if name.endswith(ERROR)]
    return tuple(measure for measure in measures(levels_of(measured)) if measure.name in measured)


def levels_of(names: Iterable[str]) -> list[float]:
    """The doses of the V-levels among names of measures, in Gy: ``v44_percent`` has 44."""
    return sorted(float(match[1]) for name in names if (match := LEVEL_NAME.fullmatch(name)))


def measure_named(name: str) -> Measure | None:
    """Find a measure by its name, with any V-level; None if there is none.

    Raises:
        UserError: The dose of a V-level is not between 0 and 200 Gy.
    """
    return next((measure for measure in measures(levels_of([name])) if measure.name == name), None)


def columns_of(found: Sequence[Measure]) -> list[str]:
    """The columns of some measures in a table of cases."""
    return [measure.name + end for measure in found for end in (REFERENCE, PREDICTION, ERROR)]


def scores_of(found: Sequence[Measure]) -> tuple[Metric, ...]:
    """The scores of some measures: for each the absolute error and the error."""
    return tuple(score for measure in found for score in (measure.absolute, measure.error))


def _hottest(volume_ml: float) -> Measure:
    name = f"d{volume_ml:g}cc".replace(".", "_")
    margin = Margin(2.0, "as for Dmean; no published figure was found")
    return Measure(f"{name}_gy", f"D{volume_ml:g}cc", "Gy", lambda histogram: histogram.hottest_gy(volume_ml), margin)


def _share(gray: float) -> Measure:
    return Measure(f"v{gray:g}_percent", f"V{gray:g}", "%", lambda histogram: histogram.share_percent(gray), None)


def _error(pair: "MaskPair", measure: Measure) -> float:
    if pair.dose is None:
        raise ValueError(f"{measure.label}: a pair of masks without a dose")
    return measure.of(pair.dose.prediction) - measure.of(pair.dose.reference)


def _absolute_error(pair: "MaskPair", measure: Measure) -> float:
    return abs(_error(pair, measure))
