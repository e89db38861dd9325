"""The canvas: a CT grid in head coordinates, on which solids are painted with partial volume."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.data.phantom.solids import Field, Solid
from mandseg.data.volume import AIR_HU, Affine

Box = tuple[slice, slice, slice]

SLAB = 6  # planes
MARGIN_MM = 4.0  # more than the warp's largest displacement


class Canvas:
    """HU on a RAS+ grid, painted solid by solid.

    Args:
        shape: Voxels (X, Y, Z).
        affine: RAS+ and axis-aligned, voxel index to patient mm.
        pose: (4, 4), head coordinates to patient mm, rigid.
        rng: Draws the subject's asymmetry and the tissue texture.
    """

    def __init__(self, shape: tuple[int, int, int], affine: Affine, pose: Affine, rng: np.random.Generator) -> None:
        self.spacing_mm = np.diag(affine)[:3]
        self.hu: Field = np.full(shape, AIR_HU, np.float32)
        self._to_voxels = np.linalg.inv(affine) @ pose
        self.x, self.y, self.z = _warped(
            _head_coordinates(shape, np.asarray(np.linalg.inv(self._to_voxels), np.float64)), rng
        )
        self.texture = _smooth_noise(shape, 1.6 / self.spacing_mm, rng)
        """Unit-variance grain of a millimetre or two."""
        self.marbling = _smooth_noise(shape, np.array([5.0, 5.0, 9.0]) / self.spacing_mm, rng)
        """Unit-variance texture of the size of fat planes."""
        self.limit: Field | None = None
        """If set, ``paint`` covers at most this share of each voxel."""

    def paint(self, solid: Solid, hu: float, grain_hu: float = 0.0, opacity: float = 1.0) -> None:
        """Blend a solid into the CT; ``grain_hu`` is the standard deviation of its texture."""
        box = self.box(solid)
        if box is None:
            return
        cover = self.coverage(self.distance(solid, box)) * float(opacity)
        if self.limit is not None:
            cover = np.minimum(cover, self.limit[box])
        tissue = hu + grain_hu * self.texture[box] if grain_hu else hu
        self.hu[box] += cover * (tissue - self.hu[box])

    def paint_bone(self, solid: Solid, cortex_hu: float, core_hu: float, cortex_mm: float) -> None:
        """Blend a cortical shell around a cancellous core into the CT."""
        box = self.box(solid)
        if box is None:
            return
        self.blend_bone(box, self.distance(solid, box), cortex_hu, core_hu, cortex_mm)

    def blend_bone(self, box: Box, distance: Field, cortex_hu: float, core_hu: float, cortex_mm: float) -> None:
        """``paint_bone`` for a known distance on a box of the grid."""
        grain = self.texture[box]
        core = self.coverage(distance + cortex_mm)
        bone = cortex_hu + 70.0 * grain + core * (core_hu - cortex_hu + 50.0 * grain)
        self.hu[box] += self.coverage(distance) * (bone - self.hu[box])

    def coverage(self, distance: Field) -> Field:
        """Share of a voxel that lies inside a surface at this signed distance."""
        return np.asarray(np.clip(0.5 - distance / float(self.spacing_mm.mean()), 0.0, 1.0), np.float32)

    def distance(self, solid: Solid, box: Box | None = None) -> Field:
        """Signed distance of a box's voxels, or of all; computed in slabs, which fit into the processor cache."""
        x, y, z = (values if box is None else values[box] for values in (self.x, self.y, self.z))
        slabs = [slice(i, i + SLAB) for i in range(0, x.shape[0], SLAB)]
        return np.concatenate([solid.distance(x[slab], y[slab], z[slab]) for slab in slabs])

    def box(self, solid: Solid) -> Box | None:
        """The part of the grid that a solid can touch; None if it is outside the grid."""
        bounds = np.array([solid.low, solid.high])
        bounds += np.array([[-MARGIN_MM], [MARGIN_MM]])
        corners = np.array(np.meshgrid(*bounds.T)).reshape(3, -1)
        voxels = self._to_voxels[:3, :3] @ corners + self._to_voxels[:3, 3:]
        low = np.maximum(np.floor(voxels.min(axis=1)).astype(int), 0)
        high = np.minimum(np.ceil(voxels.max(axis=1)).astype(int) + 1, self.hu.shape)
        if np.any(low >= high):
            return None
        return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])

    def voxel_of(self, point: tuple[float, float, float]) -> npt.NDArray[np.float64]:
        """The grid position of a point of the head, in voxels, (3,), without the warp."""
        return np.asarray(self._to_voxels[:3, :3] @ np.array(point) + self._to_voxels[:3, 3])


def _head_coordinates(shape: tuple[int, int, int], to_head: Affine) -> list[Field]:
    i, j, k = (np.arange(n, dtype=np.float32) for n in shape)
    return [
        (float(row[0]) * i[:, None, None] + float(row[1]) * j[:, None]) + (float(row[2]) * k + float(row[3]))
        for row in to_head[:3]
    ]


def _warped(head: list[Field], rng: np.random.Generator) -> tuple[Field, Field, Field]:
    """Displace the points by smooth waves of one to two millimetres, because no head is symmetrical."""
    x, y, z = head
    size = rng.uniform(-1.6, 1.6, 3)
    phase = rng.uniform(0, 2 * np.pi, 3)
    length = rng.uniform(70, 130, 3) / (2 * np.pi)
    waves = [
        float(size[0]) * np.sin(y / float(length[0]) + float(phase[0])),
        float(size[1]) * np.sin(x / float(length[1]) + float(phase[1])),
        float(size[2]) * np.sin(x / float(length[2]) + float(phase[2])),
    ]
    return x + waves[0], y + waves[1], z + waves[2]


def _smooth_noise(shape: tuple[int, int, int], sigma: npt.ArrayLike, rng: np.random.Generator) -> Field:
    white = rng.standard_normal(shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(white, np.broadcast_to(sigma, 3), mode="wrap", truncate=3)
    return np.asarray(noise / noise.std(), np.float32)
