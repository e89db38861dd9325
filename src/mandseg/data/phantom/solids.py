"""Implicit solids: a bounding box and a signed distance in mm, negative inside; the phantom's building blocks.

Distances of ellipsoids follow the first-order bound of I. Quilez ("Ellipsoid - SDF"); all others are exact or, after
smooth unions, slightly too small near the seam. Arrays are float32; the arrays of a call have the same shape.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Point = tuple[float, float, float]
Distance = Callable[[Field, Field, Field], Field]


@dataclass(frozen=True)
class Solid:
    """A shape in head coordinates: ``distance(x, y, z)`` in mm is valid near the box from ``low`` to ``high``."""

    low: Point
    high: Point
    distance: Distance


def ellipsoid(centre: Point, radii: Point, yaw_deg: float = 0.0, pitch_deg: float = 0.0) -> Solid:
    """Ellipsoid, turned about z (``yaw_deg``), then about x (``pitch_deg``), both at its centre."""
    yaw, pitch = np.deg2rad(yaw_deg), np.deg2rad(pitch_deg)
    cos_yaw, sin_yaw, cos_pitch, sin_pitch = (
        float(f) for f in (np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch))
    )
    cx, cy, cz = (float(c) for c in centre)
    rx, ry, rz = (float(r) for r in radii)

    def distance(x: Field, y: Field, z: Field) -> Field:
        x, y, z = x - cx, y - cy, z - cz
        if pitch_deg:
            y, z = cos_pitch * y + sin_pitch * z, cos_pitch * z - sin_pitch * y
        if yaw_deg:
            x, y = cos_yaw * x + sin_yaw * y, cos_yaw * y - sin_yaw * x
        x, y, z = x / rx, y / ry, z / rz
        scaled = np.sqrt(x * x + y * y + z * z)
        x, y, z = x / rx, y / ry, z / rz
        gradient = np.sqrt(x * x + y * y + z * z) + 1e-6
        return cast(Field, scaled * (scaled - 1.0) / gradient)

    reach = (rx, ry, rz) if not (yaw_deg or pitch_deg) else (max(rx, ry, rz),) * 3
    return Solid(_minus((cx, cy, cz), reach), _plus((cx, cy, cz), reach), distance)


def tube(points: Sequence[Point], radii: Sequence[float]) -> Solid:
    """Round tube along a polyline; its radius is linear between the points."""
    path = [tuple(float(c) for c in point) for point in points]
    radii = [float(r) for r in radii]

    def segment(x: Field, y: Field, z: Field, i: int) -> Field:
        (ax, ay, az), (bx, by, bz) = path[i], path[i + 1]
        dx, dy, dz = bx - ax, by - ay, bz - az
        share = ((x - ax) * dx + (y - ay) * dy + (z - az) * dz) / (dx * dx + dy * dy + dz * dz)
        along = cast(Field, np.clip(share, 0.0, 1.0))
        ex, ey, ez = x - ax - along * dx, y - ay - along * dy, z - az - along * dz
        return cast(Field, np.sqrt(ex * ex + ey * ey + ez * ez) - (radii[i] + along * (radii[i + 1] - radii[i])))

    def distance(x: Field, y: Field, z: Field) -> Field:
        nearest = segment(x, y, z, 0)
        for i in range(1, len(path) - 1):
            nearest = np.minimum(nearest, segment(x, y, z, i))
        return nearest

    widest = max(radii)
    low = tuple(min(p[axis] for p in path) - widest for axis in range(3))
    high = tuple(max(p[axis] for p in path) + widest for axis in range(3))
    return Solid(cast(Point, low), cast(Point, high), distance)


def box(centre: Point, half: Point, rounding_mm: float, yaw_deg: float = 0.0, pitch_deg: float = 0.0) -> Solid:
    """Box with rounded edges, turned about z, then about x."""
    yaw, pitch = np.deg2rad(yaw_deg), np.deg2rad(pitch_deg)
    cos_yaw, sin_yaw, cos_pitch, sin_pitch = (
        float(f) for f in (np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch))
    )
    cx, cy, cz = (float(c) for c in centre)
    hx, hy, hz = (float(h) - rounding_mm for h in half)

    def distance(x: Field, y: Field, z: Field) -> Field:
        x, y, z = x - cx, y - cy, z - cz
        y, z = cos_pitch * y + sin_pitch * z, cos_pitch * z - sin_pitch * y
        x, y = cos_yaw * x + sin_yaw * y, cos_yaw * y - sin_yaw * x
        beyond = np.abs(x) - hx, np.abs(y) - hy, np.abs(z) - hz
        outside = np.sqrt(sum(np.maximum(b, 0) ** 2 for b in beyond))
        inside = np.minimum(np.maximum(np.maximum(*beyond[:2]), beyond[2]), 0)
        return cast(Field, outside + inside - rounding_mm)

    reach = (float(np.linalg.norm(half)),) * 3 if (yaw_deg or pitch_deg) else half
    return Solid(_minus((cx, cy, cz), reach), _plus((cx, cy, cz), reach), distance)


def grown(solid: Solid, by_mm: float) -> Solid:
    """The solid with its surface moved outwards (inwards when negative)."""
    reach = (by_mm,) * 3
    return Solid(
        _minus(solid.low, reach), _plus(solid.high, reach), lambda x, y, z: solid.distance(x, y, z) - float(by_mm)
    )


def union(*solids: Solid, seam_mm: float = 0.0) -> Solid:
    """The union of the solids; a positive ``seam_mm`` fills the seams with a fillet of about that size."""

    def distance(x: Field, y: Field, z: Field) -> Field:
        nearest = solids[0].distance(x, y, z)
        for solid in solids[1:]:
            nearest = smooth_minimum(nearest, solid.distance(x, y, z), seam_mm)
        return nearest

    low = tuple(min(s.low[axis] for s in solids) for axis in range(3))
    high = tuple(max(s.high[axis] for s in solids) for axis in range(3))
    return Solid(cast(Point, low), cast(Point, high), distance)


def without(solid: Solid, *cut: Solid) -> Solid:
    """The solid minus the others."""

    def distance(x: Field, y: Field, z: Field) -> Field:
        remaining = solid.distance(x, y, z)
        for other in cut:
            remaining = np.maximum(remaining, -other.distance(x, y, z))
        return remaining

    return Solid(solid.low, solid.high, distance)


def mirrored(solid: Solid) -> Solid:
    """The same solid on the other side of the midsagittal plane."""
    low = (-solid.high[0], *solid.low[1:])
    high = (-solid.low[0], *solid.high[1:])
    return Solid(low, high, lambda x, y, z: solid.distance(-x, y, z))


def both_sides(*solids: Solid) -> tuple[Solid, ...]:
    """Each solid and its mirror image."""
    return (*solids, *(mirrored(solid) for solid in solids))


def smooth_minimum(a: Field, b: Field, seam_mm: float) -> Field:
    """Minimum of two distances with a fillet (polynomial smooth minimum)."""
    if seam_mm <= 0:
        return np.minimum(a, b)
    overlap = np.maximum(seam_mm - np.abs(a - b), 0.0)
    return cast(Field, np.minimum(a, b) - overlap * overlap * (0.25 / seam_mm))


def _plus(point: Point, reach: Point) -> Point:
    return point[0] + reach[0], point[1] + reach[1], point[2] + reach[2]


def _minus(point: Point, reach: Point) -> Point:
    return point[0] - reach[0], point[1] - reach[1], point[2] - reach[2]
