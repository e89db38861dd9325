"""Errors of height: borders of the bone that run along the slices end a slice higher or lower."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mandseg.metrics.signed_distance import Field
from mandseg.noise.modes.mode import Mode, severity_scaled
from mandseg.noise.modes.random_field import smooth_field
from mandseg.noise.modes.scene import Scene


@dataclass(frozen=True)
class EndSlices(Mode):
    """Which slice is the last to show bone is judged differently: on the alveolar crest, the tips, the lower border.

    Contours spread by 3 mm cranio-caudally where there is no metal (O'Daniel et al. 2007). Where the boundary runs
    across the slices, nothing changes; a displacement below half a slice adds up with what other modes do.

    Args:
        upper_mm: Standard deviation, from case to case, of a displacement that all upper borders share.
        lower_mm: The same of the lower borders, drawn by itself.
        patch_mm: Standard deviation of a displacement that changes along a border.
        correlation_mm: Length over which that one stays alike.
        outward_mm: Mean displacement of the upper borders; positive is upwards, outward.
    """

    upper_mm: float = severity_scaled(1.0)
    lower_mm: float = severity_scaled(0.5)
    patch_mm: float = severity_scaled(0.5)
    correlation_mm: float = 15.0
    outward_mm: float = severity_scaled(0.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Move the upper borders, then the lower ones."""
        upper, lower = rng.standard_normal(2) * (self.upper_mm, self.lower_mm)
        lengths = (self.correlation_mm, self.correlation_mm, self.correlation_mm)
        patches = [self.patch_mm * smooth_field(level_mm.shape, scene.spacing_mm, lengths, rng) for _ in range(2)]
        drawn = with_upper_border_moved(level_mm, self.outward_mm + upper + patches[0], scene.spacing_mm[2])
        flipped = with_upper_border_moved(drawn[:, :, ::-1], (lower + patches[1])[:, :, ::-1], scene.spacing_mm[2])
        return np.ascontiguousarray(flipped[:, :, ::-1])


def with_upper_border_moved(level_mm: Field, up_mm: npt.NDArray[np.floating], dz_mm: float) -> Field:
    """Join the contour with itself moved up, or cut it with itself moved down; lower borders stay where they are.

    Args:
        level_mm: Signed distance, (X, Y, Z), mm, negative inside.
        up_mm: Displacement at each voxel, (X, Y, Z); negative is down.
        dz_mm: Distance between slices.
    """
    n = level_mm.shape[2]
    if n < 2:
        return level_mm
    below = np.clip(np.arange(n) - up_mm / dz_mm, 0, n - 1)  # the fractional slice that each voxel shows
    low = np.minimum(below.astype(np.intp), n - 2)
    weight = (below - low).astype(np.float32)
    moved = np.take_along_axis(level_mm, low, 2) * (1 - weight) + np.take_along_axis(level_mm, low + 1, 2) * weight
    return np.asarray(np.where(up_mm > 0, np.minimum(level_mm, moved), np.maximum(level_mm, moved)), dtype=np.float32)
