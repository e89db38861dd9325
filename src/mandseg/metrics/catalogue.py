"""The catalogue of metrics. A new metric is one more entry of ``METRICS``, or of ``FURTHER`` if it is not compared.

Everything else follows from it: the columns of cases.csv, the comparisons, the margins, the tables. Every command reads
the names and margins, so numpy and the arithmetic are imported only when something is measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Literal

from mandseg.system.errors import UserError
from mandseg.system.wording import expected_one_of

if TYPE_CHECKING:
    from mandseg.metrics.mask_pair import MaskPair

VOLUMES = ("reference_ml", "prediction_ml")


@dataclass(frozen=True)
class Margin:
    """The non-inferiority margin, in the unit of the metric: a loss as large as between two experts."""

    value: float
    source: str


@dataclass(frozen=True)
class Empty:
    """The values for empty masks: if one is empty (missed or spurious), and if both are."""

    one: float | Literal["diagonal"]
    both: float


@dataclass(frozen=True)
class Metric:
    """One score of a case.

    Attributes:
        column: Its column in cases.csv.
        label: Its name on a page.
        unit: Its unit; empty for ratios.
        better: Whether higher or lower values are better; None: neither.
        lowest, highest: The possible values.
        decimals: The number of decimals in tables.
        of: The function of two masks; they are not empty unless ``empty`` is None.
        empty: Its values for empty masks; None: ``of`` is defined there, too.
        margin: Its non-inferiority margin; None if none is stated.
    """

    column: str
    label: str
    unit: str
    better: Literal["higher", "lower"] | None
    lowest: float
    highest: float
    decimals: int
    of: Callable[["MaskPair"], float]
    empty: Empty | None
    margin: Margin | None

    def measure(self, pair: "MaskPair") -> float:
        """The metric of two masks, empty ones included."""
        if self.empty is None or pair.outcome == "scored":
            return self.of(pair)
        if pair.outcome == "both_empty":
            return self.empty.both
        return pair.diagonal_mm if self.empty.one == "diagonal" else self.empty.one

    def worsening(self, difference: float) -> float:
        """A difference with its sign changed so that positive means worse."""
        return -difference if self.better == "higher" else difference


def _dice_in_slices(pair: "MaskPair") -> float:
    from mandseg.metrics.masks import dice

    return dice(*pair.in_reference_slices)


def _dice(pair: "MaskPair") -> float:
    from mandseg.metrics.masks import dice

    return dice(*pair.cropped)


def _hd95_mm(pair: "MaskPair") -> float:
    from mandseg.metrics.surfaces import hd95_mm

    return hd95_mm(pair.surfaces)


def _assd_mm(pair: "MaskPair") -> float:
    from mandseg.metrics.surfaces import assd_mm

    return assd_mm(pair.surfaces)


def _nsd(pair: "MaskPair", tolerance_mm: float) -> float:
    from mandseg.metrics.surfaces import nsd

    return nsd(pair.surfaces, tolerance_mm)


SHARE = Empty(one=0.0, both=1.0)
DISTANCE = Empty(one="diagonal", both=0.0)
# Oktay 2020 (PMC7705593): 0.986, 0.985 and 0.969; one radiographer's cases scatter by 0.023.
# van der Veen 2021 (doi 10.1186/s13014-020-01677-2): 14 radiation oncologists, median and best.
METRICS = (
    Metric(
        *("dice", "Dice", "", "higher", 0.0, 1.0, 3, _dice, SHARE),
        Margin(0.02, "three annotators' mandible Dice lies 0.017 apart (Oktay 2020)"),
    ),
    Metric(
        *("hd95_mm", "HD95", "mm", "lower", 0.0, inf, 2, _hd95_mm, DISTANCE),
        Margin(1.0, "about half of the 1.9 mm between the median and the best of 14 oncologists (van der Veen 2021)"),
    ),
    Metric(
        *("assd_mm", "ASSD", "mm", "lower", 0.0, inf, 2, _assd_mm, DISTANCE),
        Margin(0.3, "the 0.3 mm between the median and the best of 14 oncologists (van der Veen 2021)"),
    ),
    Metric(
        *("nsd_1mm", "Surface Dice at 1 mm", "", "higher", 0.0, 1.0, 3, partial(_nsd, tolerance_mm=1.0), SHARE),
        Margin(0.02, "as for Dice; no published figure was found"),
    ),
    Metric(
        *("nsd_2mm", "Surface Dice at 2 mm", "", "higher", 0.0, 1.0, 3, partial(_nsd, tolerance_mm=2.0), SHARE),
        Margin(0.02, "as for Dice; no published figure was found"),
    ),
    Metric(
        *("volume_error_ml", "Volume error", "ml", None, -inf, inf, 2),
        *(lambda pair: pair.prediction_ml - pair.reference_ml, None, None),
    ),
)
FURTHER = (
    Metric(
        *("dice_in_slices", "Dice in the reference's slices", "", "higher", 0.0, 1.0, 3),
        *(_dice_in_slices, SHARE, None),
    ),
)
"""Measured for every case and written to cases.csv, but not compared: no tests, margins or tables follow from them."""
SCORES = tuple(metric.column for metric in METRICS)
AGREEMENT = tuple(metric.column for metric in METRICS if metric.better is not None)
"""The metrics for which higher or lower is better."""
MEASURED = (
    *AGREEMENT,
    *VOLUMES,
    *(column for column in SCORES if column not in AGREEMENT),
    *(metric.column for metric in FURTHER),
)
"""The numbers of a case, in the order of cases.csv."""


def metric_named(column: str, metrics: Sequence[Metric] = METRICS) -> Metric:
    """Find the metric of a column of cases.csv.

    Args:
        column: The column.
        metrics: The metrics to search.

    Raises:
        UserError: There is no such metric.
    """
    for metric in metrics:
        if metric.column == column:
            return metric
    raise UserError(f"metric {column!r}: {expected_one_of(column, [metric.column for metric in metrics])}")
