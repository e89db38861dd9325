"""The mandible: a plate with a polygonal side outline, bent along the arch, united with condyles and chin."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.data.phantom.arch import Arch, make_arch
from mandseg.data.phantom.solids import Field, Point, Solid, ellipsoid, mirrored, smooth_minimum
from mandseg.data.phantom.subject import Subject

FIRST_ALONG_MM, FIRST_Z_MM = -12.0, -110.0  # of the outline's table
OUTLINE_SHAPE = (170, 130)


@dataclass(frozen=True)
class Mandible:
    """The solid of a mandible with the curves for teeth, canal and joint."""

    solid: Solid
    arch: Arch
    subject: Subject

    def canal(self) -> "list[Solid]":
        """The mandibular canals: see ``canal_distance``."""
        return [Solid(self.solid.low, self.solid.high, self._canal_distance)]

    def _canal_distance(self, x: Field, y: Field, z: Field) -> Field:
        along, across = self.arch.along_and_across(_unflared(self.subject, x, y, z), y)
        rise = np.clip((along - 55.0) / 35.0, 0.0, 1.0)
        height = self.subject.chin_z + 11.0 + 0.11 * along + 22.0 * rise * rise
        ends = np.maximum(28.0 - along, along - 92.0)
        return cast(Field, np.maximum(np.hypot(across + 0.5, z - height) - 1.4, ends))


def make_mandible(subject: Subject) -> Mandible:
    """Model the mandible of a subject, in head coordinates."""
    arch = make_arch(subject.chin_y, subject.ramus_half_width, subject.arch_power)
    outline = outline_table(side_outline(subject, arch))
    additions = [*_condyles(subject), _chin(subject)]

    def distance(x: Field, y: Field, z: Field) -> Field:
        along, across = arch.along_and_across(_unflared(subject, x, y, z), y)
        edge = _look_up(outline, along, z)
        half = _half_thickness(subject, along, z)
        d = _rounded_plate(edge, np.abs(across) - half, 0.8 * half)
        for addition in additions:
            d = smooth_minimum(d, addition.distance(x, y, z), 5.0)
        return d

    reach = subject.ramus_half_width + subject.flare + 16.0
    low = (-reach, -14.0, subject.chin_z - 6.0)
    high = (reach, subject.chin_y + 12.0, subject.condyle[2] + 5.0)
    return Mandible(Solid(low, high, distance), arch, subject)


def crest_z(subject: Subject, along_mm: float) -> float:
    """Height of the alveolar crest, in mm: it rises backwards."""
    return subject.chin_z + subject.body_height + 0.07 * along_mm


def condyle_centre(subject: Subject) -> Point:
    """Centre of the right condyle's head."""
    return subject.ramus_half_width + subject.flare, 0.0, 0.0


def side_outline(subject: Subject, arch: Arch) -> npt.NDArray[np.float64]:
    """Outline of half a mandible unrolled along its arch: (N, 2) of (arc length, z), smoothed, closed."""
    s, end = subject, arch.length_to(0.0)
    front = end - s.ramus_length
    base = s.chin_z
    corners = [
        (-30.0, base + s.body_height),
        (0.0, base + s.body_height),
        (front - 14.0, crest_z(s, front - 14.0)),
        (front - 3.0, crest_z(s, front) + 4.0),
        (front + 1.5, 0.5 * (s.notch_z + crest_z(s, front)) + 4.0),
        (front + 1.0, s.coronoid_z - 9.0),
        (front + 3.0, s.coronoid_z + 3.0),
        (front + 7.5, s.coronoid_z + 1.0),
        (front + 10.5, s.notch_z + 7.0),
        (front + 16.0, s.notch_z - 2.0),
        (end - 8.0, s.notch_z + 1.0),
        (end - 4.5, -3.0),
        (end + 3.5, -1.0),
        (end + 4.5, -12.0),
        (end + 1.0, s.notch_z - 8.0),
        (end + 1.5, s.gonion_z + 12.0),
        (end - 1.0, s.gonion_z - 1.0),
        (end - 11.0, s.gonion_z - 6.0),
        (end - 24.0, s.gonion_z - 5.5),
        (0.45 * end, 0.55 * base + 0.45 * s.gonion_z - 2.5),
        (20.0, base + 1.0),
        (0.0, base),
        (-30.0, base),
    ]
    leaning = np.array(corners)
    lean = (
        s.ramus_lean * np.clip(leaning[:, 1] / s.gonion_z, 0.0, 1.1) * np.clip((leaning[:, 0] - 40.0) / 45.0, 0.0, 1.0)
    )
    leaning[:, 0] -= lean
    return _corners_cut(leaning, times=2)


def outline_table(polygon: npt.NDArray[np.float64]) -> Field:
    """Signed distance to a closed polygon on the 1 mm table of ``_look_up``; exact, negative inside."""
    along = (FIRST_ALONG_MM + np.arange(OUTLINE_SHAPE[0], dtype=np.float32))[:, None]
    z = (FIRST_Z_MM + np.arange(OUTLINE_SHAPE[1], dtype=np.float32))[None, :]
    nearest_squared = np.full(OUTLINE_SHAPE, np.inf, np.float32)
    inside = np.zeros(OUTLINE_SHAPE, bool)
    for (a, az), (b, bz) in zip(polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True):
        run, rise = b - a, bz - az
        share = np.clip(((along - a) * run + (z - az) * rise) / (run * run + rise * rise), 0.0, 1.0)
        gap = (along - a - share * run) ** 2 + (z - az - share * rise) ** 2
        nearest_squared = np.minimum(nearest_squared, gap)
        between = (az > z) != (bz > z)  # the ray from the point, forwards, may cross this edge
        if rise:
            inside ^= between & (along < a + (z - az) * (run / rise))
    nearest = np.sqrt(nearest_squared)
    return np.where(inside, -nearest, nearest)


def _look_up(table: Field, along: Field, z: Field) -> Field:
    where = np.stack([along - FIRST_ALONG_MM, z - FIRST_Z_MM])
    return ndimage.map_coordinates(table, where, order=1, mode="nearest", output=np.float32)


def _corners_cut(polygon: npt.NDArray[np.float64], times: int) -> npt.NDArray[np.float64]:
    """Chaikin's corner cutting."""
    for _ in range(times):
        following = np.roll(polygon, -1, axis=0)
        polygon = np.stack([0.75 * polygon + 0.25 * following, 0.25 * polygon + 0.75 * following], axis=1)
        polygon = polygon.reshape(-1, 2)
    return polygon


def _unflared(subject: Subject, x: Field, y: Field, z: Field) -> Field:
    """``abs(x)`` without the flare of rami and condyles; the lower border of the body turns outwards."""
    height = np.clip((z - subject.gonion_z) / -subject.gonion_z, -0.3, 1.2)
    backwards = np.clip(1.3 - y / 50.0, 0.0, 1.0)
    return cast(Field, np.abs(x) - subject.flare * height * backwards)


def _half_thickness(subject: Subject, along: Field, z: Field) -> Field:
    """Half the plate's thickness: the body is thick, the ramus thin; coronoid process and crest are thinner."""
    ramus = np.clip((along - 52.0) / 26.0, 0.0, 1.0)
    ramus = ramus * ramus * (3.0 - 2.0 * ramus)
    body_height = np.clip((z - subject.chin_z) / subject.body_height, 0.0, 1.2)
    oblique_line = np.exp(-(((along - 58.0) / 14.0) ** 2))
    body = subject.body_half_thickness * (1.08 - 0.25 * body_height + 0.28 * oblique_line)
    upwards = np.clip((z - subject.notch_z) / 20.0, 0.0, 1.0)
    plate = subject.ramus_half_thickness * (1.0 - 0.35 * upwards)
    return cast(Field, body + ramus * (plate - body))


def _rounded_plate(edge: Field, side: Field, rounding: Field) -> Field:
    """Distance to an extruded outline with rounded rims."""
    edge, side = edge + rounding, side + rounding
    outside = np.sqrt(np.maximum(edge, 0) ** 2 + np.maximum(side, 0) ** 2)
    return cast(Field, outside + np.minimum(np.maximum(edge, side), 0) - rounding)


def _condyles(subject: Subject) -> list[Solid]:
    x, y, z = condyle_centre(subject)
    head = ellipsoid((x - 1.0, y, z), subject.condyle, yaw_deg=subject.condyle_yaw_deg)
    return [head, mirrored(head)]


def _chin(subject: Subject) -> Solid:
    """The mental protuberance."""
    centre = (0.0, subject.chin_y + 1.0, subject.chin_z + 9.0)
    return ellipsoid(centre, (15.0, 0.9 * subject.body_half_thickness + 1.5, 8.0))
