"""Calibration: the severity at which a contour agrees with its reference exactly as much as stated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mandseg.errors import UserError
from mandseg.metrics import hd95_mm, surfaces
from mandseg.regions import Mask, Spacing

Metric = Literal["dice", "hd95_mm"]
DICE_TOLERANCE = 0.005
HD95_TOLERANCE_MM = 0.1
HD95_TOLERANCE_VOXELS = 0.25  # of the longest edge: HD95 moves in steps on a grid
LARGEST_SEVERITY = 16.0
MAX_CUTS = 30
NEAREST_CUT = 0.15  # of the interval, to an end: it shrinks for certain


@dataclass(frozen=True)
class Target:
    """An agreement to reach.

    Args:
        metric: ``dice`` or ``hd95_mm``.
        value: The Dice in (0, 1], or the HD95 in mm, 0 or more.
    """

    metric: Metric
    value: float

    def __post_init__(self) -> None:
        if self.metric == "dice" and not 0 < self.value <= 1:
            raise UserError(f"target_dice={self.value}: expected a Dice above 0, up to 1")
        if self.metric == "hd95_mm" and not (np.isfinite(self.value) and self.value >= 0):
            raise UserError(f"target_hd95_mm={self.value}: expected mm, 0 or more")

    def tolerance(self, spacing_mm: Spacing) -> float:
        """How near is reached: Dice 0.005; HD95 0.1 mm, or a quarter of a coarse voxel."""
        if self.metric == "dice":
            return DICE_TOLERANCE
        return max(HD95_TOLERANCE_MM, HD95_TOLERANCE_VOXELS * max(spacing_mm))

    def measure(self, drawn: Mask, reference: Mask, spacing_mm: Spacing) -> float:
        """Agreement of two masks, the reference not empty; an empty drawing agrees not at all."""
        if self.metric == "dice":
            both = np.count_nonzero(drawn & reference)
            return float(2 * both / (np.count_nonzero(drawn) + np.count_nonzero(reference)))
        return hd95_mm(surfaces(drawn, reference, spacing_mm)) if drawn.any() else float("inf")


def find_severity(draw: Callable[[float], Mask], target: Target, reference: Mask, spacing_mm: Spacing) -> float:
    """Find the severity at which ``draw(severity)`` has the target agreement.

    Bisection, the cut placed where the line between the two ends meets the target: half as many drawings.

    Args:
        draw: Draws the contour at a severity; 0 is the reference itself, and agreement falls as it grows.
        target: What to reach.
        reference: The contour without errors, (X, Y, Z).
        spacing_mm: Voxel edge lengths.

    Raises:
        ValueError: It cannot be reached, with both values.
    """
    worse = -1.0 if target.metric == "dice" else 1.0
    tolerance = target.tolerance(spacing_mm)

    def missing(severity: float) -> float:
        """How far the drawing is from the target; negative: still too good."""
        value = target.measure(draw(severity), reference, spacing_mm) if severity > 0 else (target.metric == "dice")
        return worse * (value - target.value)

    low, at_low = 0.0, missing(0.0)
    if abs(at_low) <= tolerance:
        return low
    high = 1.0
    while (at_high := missing(high)) < -tolerance:
        if high >= LARGEST_SEVERITY:
            raise ValueError(_unreached(target, f"{target.value + worse * at_high:.3f} at severity {high:g}"))
        low, at_low, high = high, at_high, 2 * high
    middle, found = high, at_high
    for _ in range(MAX_CUTS):
        if abs(found) <= tolerance:
            return middle
        if found < 0:
            low, at_low = middle, found
        else:
            high, at_high = middle, found
        share = -at_low / (at_high - at_low) if np.isfinite(at_high) else 0.5
        middle = low + (high - low) * min(max(share, NEAREST_CUT), 1 - NEAREST_CUT)
        found = missing(middle)
    raise ValueError(_unreached(target, f"nearest {target.value + worse * found:.3f}, the drawing jumps there"))


def _unreached(target: Target, reached: str) -> str:
    return f"target {target.metric} {target.value:g} cannot be reached: {reached}"
