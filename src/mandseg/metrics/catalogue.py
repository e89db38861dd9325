"""The metrics: name, unit, direction, range; every other list of metrics is derived from this one."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mandseg.system.errors import UserError


@dataclass(frozen=True)
class Metric:
    """One score of a case: its column, name, unit, direction (None: neither end is better) and possible values."""

    column: str
    label: str
    unit: str
    better: Literal["higher", "lower"] | None
    lowest: float
    highest: float
    decimals: int

    def worsening(self, difference: float) -> float:
        """A difference turned so that positive means worse."""
        return -difference if self.better == "higher" else difference


METRICS = (
    Metric("dice", "Dice", "", "higher", 0.0, 1.0, 3),
    Metric("hd95_mm", "HD95", "mm", "lower", 0.0, np.inf, 2),
    Metric("assd_mm", "ASSD", "mm", "lower", 0.0, np.inf, 2),
    Metric("nsd_1mm", "Surface Dice at 1 mm", "", "higher", 0.0, 1.0, 3),
    Metric("nsd_2mm", "Surface Dice at 2 mm", "", "higher", 0.0, 1.0, 3),
    Metric("volume_error_ml", "Volume error", "ml", None, -np.inf, np.inf, 2),
)


def metric_named(column: str) -> Metric:
    """The metric of a column of cases.csv.

    Raises:
        UserError: There is none of that name.
    """
    for metric in METRICS:
        if metric.column == column:
            return metric
    raise UserError(f"metric {column!r}: expected one of {', '.join(metric.column for metric in METRICS)}")
