"""Shapes whose volumes are known exactly, as contours in DICOM patient coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mandseg.data.dicom.series import Points

POINT_DISTANCE_MM = 0.25
ARCH_OUTER_MM, ARCH_LENGTH_MM = 33.0, 20.0


@dataclass(frozen=True)
class Shape:
    """A shape: its contours, each (N, 3) in mm, LPS, and its volume when each contour counts for one slice."""

    name: str
    contours: tuple[Points, ...]
    volume_mm3: float


def shapes(heights_mm: Sequence[float], slice_mm: float) -> list[Shape]:
    """The shapes of the commissioning.

    Args:
        heights_mm: Of the slices that may carry contours.
        slice_mm: Distance of the slices.
    """
    used = heights_mm[2:-2]
    height_mm = slice_mm * len(used)
    found = [
        Shape(f"cylinder, radius {radius} mm", _stack(_circle(radius), used), np.pi * radius**2 * height_mm)
        for radius in (12, 25)
    ]
    found += [
        Shape(f"mandibular arch, {thick} mm thick", _stack(_arch(thick), used), _arch_mm2(thick) * height_mm)
        for thick in (2, 3, 5)
    ]
    ring = np.pi * (12**2 - 9**2) * height_mm
    separate = (*_stack(_circle(12), used), *_stack(_circle(9), used))
    found.append(Shape("ring 9 to 12 mm, hole as a contour", separate, ring))
    keyhole = np.concatenate([_circle(12), _circle(12)[:1], _circle(9)[::-1][-1:], _circle(9)[::-1]])
    found.append(Shape("ring 9 to 12 mm, hole by a keyhole", _stack(keyhole, used), ring))
    found.append(_sphere(12.0, heights_mm))
    turned = _rectangle(40, 12) @ _rotation(17)
    found.append(Shape("prism turned by 17 degrees", _stack(turned, used), 40 * 12 * height_mm))
    return found


def _sphere(radius_mm: float, heights_mm: Sequence[float]) -> Shape:
    middle = float(np.mean(heights_mm)) + 0.7
    near = [z for z in heights_mm if abs(z - middle) < radius_mm]
    contours = [_at(_circle(float(np.sqrt(radius_mm**2 - (z - middle) ** 2))), z) for z in near]
    return Shape(f"sphere, radius {radius_mm:g} mm", tuple(contours), 4 / 3 * np.pi * radius_mm**3)


def _stack(outline: Points, heights_mm: Sequence[float]) -> tuple[Points, ...]:
    return tuple(_at(outline, z) for z in heights_mm)


def _at(outline: Points, z_mm: float) -> Points:
    """Put an outline (N, 2) on a slice, off the voxel centres."""
    return np.column_stack([outline + np.array([0.3, -0.2]), np.full(len(outline), z_mm)])


def _circle(radius_mm: float) -> Points:
    """A polygon with the area of the circle."""
    count = max(12, round(2 * np.pi * radius_mm / POINT_DISTANCE_MM))
    angle = 2 * np.pi * np.arange(count) / count
    corner_mm = radius_mm * np.sqrt(2 * np.pi / count / np.sin(2 * np.pi / count))
    return np.asarray(corner_mm * np.column_stack([np.cos(angle), np.sin(angle)]))


def _arch(thick_mm: float) -> Points:
    """The cross-section of a mandible: half a ring that opens to the back (+y), with straight ends."""
    inner_mm, angle = ARCH_OUTER_MM - thick_mm, np.linspace(0, np.pi, 400)
    outside = ARCH_OUTER_MM * np.column_stack([np.cos(angle), -np.sin(angle)])
    inside = inner_mm * np.column_stack([np.cos(angle[::-1]), -np.sin(angle[::-1])])
    end = np.array([[-ARCH_OUTER_MM, ARCH_LENGTH_MM], [-inner_mm, ARCH_LENGTH_MM]])
    return np.concatenate([outside, end, inside, end[::-1] * [-1, 1]])


def _arch_mm2(thick_mm: float) -> float:
    ring = np.pi / 2 * (ARCH_OUTER_MM**2 - (ARCH_OUTER_MM - thick_mm) ** 2)
    return float(ring + 2 * thick_mm * ARCH_LENGTH_MM)


def _rectangle(width_mm: float, height_mm: float) -> Points:
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return signs * [width_mm / 2, height_mm / 2]


def _rotation(degrees: float) -> Points:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
