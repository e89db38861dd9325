"""Teeth: enamel crowns on dentine roots along a dental arch, and metal crowns on some of them."""

from dataclasses import dataclass

import numpy as np

from mandseg.data.phantom.arch import Arch
from mandseg.data.phantom.solids import Point, Solid, ellipsoid, grown, tube, union

# From the central incisor to the wisdom tooth (Ash & Nelson, Dental Anatomy, rounded): width along the arch, half the
# width across, height of the crown, length of the root; mm.
WIDTHS = (5.4, 6.0, 6.9, 7.0, 7.1, 11.0, 10.5, 9.5)
HALF_ACROSS = (2.9, 3.0, 3.7, 3.9, 4.1, 5.1, 5.0, 4.6)
CROWNS = (8.8, 9.2, 10.5, 8.6, 8.0, 7.5, 7.0, 7.0)
ROOTS = (12.5, 13.5, 15.5, 14.0, 14.0, 13.0, 12.5, 11.0)


@dataclass(frozen=True)
class Tooth:
    """One tooth: its parts and the position of its crown."""

    crown: Solid
    dentine: Solid
    root: Solid
    socket: Solid
    centre: Point
    metal: bool


def place_teeth(
    arch: Arch,
    present: tuple[bool, ...],
    metal: frozenset[int],
    crest_z: tuple[float, float],
    up: bool,
    outwards_mm: float,
) -> list[Tooth]:
    """Place teeth on an arch.

    Args:
        arch: The curve on which they stand.
        present: Sixteen flags, right wisdom tooth to left wisdom tooth.
        metal: Indices of the teeth with a metal crown.
        crest_z: Height of the alveolar crest at the midline, and its rise per mm along the arch.
        up: Whether the crowns point upwards (lower teeth).
        outwards_mm: How far outside the curve the teeth stand.
    """
    teeth = []
    for index, there in enumerate(present):
        if there:
            kind = 7 - index if index < 8 else index - 8
            side = 1.0 if index < 8 else -1.0  # +x is right
            teeth.append(_tooth(arch, kind, side, index in metal, crest_z, 1.0 if up else -1.0, outwards_mm))
    return teeth


def _tooth(
    arch: Arch, kind: int, side: float, metal: bool, crest_z: tuple[float, float], up: float, outwards_mm: float
) -> Tooth:
    along = sum(WIDTHS[:kind]) + 0.5 * WIDTHS[kind]
    x, y, tangent_x, tangent_y = arch.at(along)
    x, y = side * (x - tangent_y * outwards_mm), y + tangent_x * outwards_mm
    yaw = float(np.rad2deg(np.arctan2(tangent_y, side * tangent_x)))
    neck = crest_z[0] + crest_z[1] * along + 1.5 * up
    centre = (x, y, neck + 0.5 * up * CROWNS[kind])
    radii = (0.53 * WIDTHS[kind], HALF_ACROSS[kind], 0.58 * CROWNS[kind])
    crown = ellipsoid(centre, radii, yaw_deg=yaw)
    root = _root(kind, (x, y, neck), (side * tangent_x, tangent_y), up)
    return Tooth(crown, grown(crown, -1.3), root, grown(root, 0.5), centre, metal)


def _root(kind: int, neck: Point, tangent: tuple[float, float], up: float) -> Solid:
    x, y, z = neck
    apex = z - up * ROOTS[kind]
    thick = 0.62 * HALF_ACROSS[kind]
    if kind < 5:
        return tube([(x, y, z + up), (x, y, apex)], [thick, 0.9])
    spread = 0.24 * WIDTHS[kind]
    legs = [
        tube(
            [
                (x, y, z + up),
                (x + s * tangent[0], y + s * tangent[1], z - 4 * up),
                (x + s * tangent[0], y + s * tangent[1], apex),
            ],
            [thick, 0.6 * thick, 0.9],
        )
        for s in (-spread, spread)
    ]
    return union(*legs)
