"""Calibration: finds the severity at which a contour has a given agreement with its reference."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mandseg.metrics.masks import Mask, Spacing, dice
from mandseg.metrics.surfaces import hd95_mm, surfaces
from mandseg.system.errors import UserError

Metric = Literal["dice", "hd95_mm"]
DICE_TOLERANCE = 0.005
HD95_TOLERANCE_MM = 0.1
HD95_TOLERANCE_VOXELS = 0.25  # of the longest edge: HD95 changes in steps on a grid
LARGEST_SEVERITY = 16.0
LARGEST_JITTER_VOXELS = 4.0
MAX_CUTS = 14
NEAREST_CUT = 0.15  # of the interval: least distance of a cut to its ends, so that it always shrinks


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
        """The accepted difference: Dice 0.005; HD95 0.1 mm, or a quarter of a coarse voxel."""
        if self.metric == "dice":
            return DICE_TOLERANCE
        return max(HD95_TOLERANCE_MM, HD95_TOLERANCE_VOXELS * max(spacing_mm))

    def measure(self, drawn: Mask, reference: Mask, spacing_mm: Spacing) -> float:
        """Agreement of two masks; the reference is not empty, and an empty drawing has the worst value."""
        if self.metric == "dice":
            return dice(drawn, reference)
        return hd95_mm(surfaces(drawn, reference, spacing_mm)) if drawn.any() else float("inf")


def calibrate(
    draw: Callable[[float, float], Mask], target: Target, reference: Mask, spacing_mm: Spacing
) -> tuple[float, float]:
    """Find the severity, and if necessary an amplitude of smooth errors, at which a drawing has the target agreement.

    The agreement can jump over the target, because an error such as a missing tip appears in one step on a coarse grid.
    Then the drawing before the jump gets additional smooth errors, which change it voxel by voxel.

    Args:
        draw: Draws the contour at a severity with additional smooth errors of an amplitude in mm; at 0 and 0 it is the
            reference, and the agreement falls as either grows.
        target: The agreement to reach.
        reference: The contour without errors, (X, Y, Z).
        spacing_mm: Voxel edge lengths.

    Returns:
        Severity, and amplitude in mm of the additional smooth errors.

    Raises:
        ValueError: The target cannot be reached; the message has both values.
    """
    gap = _Gap(target, reference, spacing_mm)
    if abs(gap.at_reference) <= gap.tolerance:
        return 0.0, 0.0
    severity, found = gap.close(lambda s: draw(s, 0.0), gap.at_reference, 1.0, LARGEST_SEVERITY, "severity")
    if found:
        return severity, 0.0
    at_low = gap.of(draw(severity, 0.0)) if severity else gap.at_reference
    most_mm = LARGEST_JITTER_VOXELS * max(spacing_mm)
    jitter_mm, found = gap.close(lambda mm: draw(severity, mm), at_low, max(spacing_mm) / 8, most_mm, "amplitude")
    if not found:
        raise ValueError(_unreached(target, "the drawing jumps over it"))
    return severity, jitter_mm


@dataclass(frozen=True)
class _Gap:
    """The difference of drawings to a target; negative if they agree too well."""

    target: Target
    reference: Mask
    spacing_mm: Spacing

    @property
    def tolerance(self) -> float:
        return self.target.tolerance(self.spacing_mm)

    @property
    def at_reference(self) -> float:
        return self._signed(1.0 if self.target.metric == "dice" else 0.0)

    def of(self, drawn: Mask) -> float:
        return self._signed(self.target.measure(drawn, self.reference, self.spacing_mm))

    def _signed(self, value: float) -> float:
        return self.target.value - value if self.target.metric == "dice" else value - self.target.value

    def close(
        self, draw: Callable[[float], Mask], at_low: float, high: float, highest: float, name: str
    ) -> tuple[float, bool]:
        """Find the size at which the gap is closed, starting from 0, where it is ``at_low``, which is negative.

        The method is regula falsi with bounded cuts: it needs half as many drawings as bisection.

        Returns:
            The size and True; if the drawing jumps over the target, the size before the jump and False.

        Raises:
            ValueError: The drawings agree too well at all sizes up to ``highest``.
        """
        low, tolerance = 0.0, self.tolerance
        while (at_high := self.of(draw(high))) < -tolerance:
            if high >= highest:
                reached = self.target.value + (-at_high if self.target.metric == "dice" else at_high)
                raise ValueError(_unreached(self.target, f"{reached:.3f} at {name} {high:g}"))
            low, at_low, high = high, at_high, 2 * high
        middle, found = high, at_high
        for _ in range(MAX_CUTS):
            if abs(found) <= tolerance:
                return middle, True
            if found < 0:
                low, at_low = middle, found
            else:
                high, at_high = middle, found
            share = -at_low / (at_high - at_low) if np.isfinite(at_high) else 0.5
            middle = low + (high - low) * min(max(share, NEAREST_CUT), 1 - NEAREST_CUT)
            found = self.of(draw(middle))
        return (middle, True) if abs(found) <= tolerance else (low, False)


def _unreached(target: Target, reached: str) -> str:
    return f"target {target.metric} {target.value:g} cannot be reached: {reached}"
