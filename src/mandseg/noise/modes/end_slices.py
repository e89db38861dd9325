"""Errors of height: borders of the bone parallel to the slices move up or down."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mandseg.metrics.signed_distance import Field
from mandseg.noise.modes.mode import Mode, severity_scaled
from mandseg.noise.modes.random_field import smooth_field
from mandseg.noise.modes.scene import Scene


@dataclass(frozen=True)
class EndSlices(Mode):
    """Annotators disagree about the last slice that shows bone: on the alveolar crest, the tips, the lower border.

    Contours vary by 3 mm cranio-caudally without metal (O'Daniel et al. 2007). Where the boundary runs
    across the slices, nothing changes; a displacement below half a slice adds up with what other modes do.

    Args:
        upper_mm: Standard deviation between cases of the displacement of all upper borders.
        lower_mm: The same for the lower borders, drawn independently.
        patch_mm: Standard deviation of a displacement that varies along a border.
        correlation_mm: Correlation length of the latter.
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
    """Unite the contour with a copy moved up, or intersect it with a copy moved down; lower borders do not move.

    Args:
        level_mm: Signed distance, (X, Y, Z), mm, negative inside.
        up_mm: Displacement at each voxel, (X, Y, Z); negative is down.
        dz_mm: Distance between slices.
    """
    n = level_mm.shape[2]
    if n < 2:
        return level_mm
    below = np.clip(np.arange(n) - up_mm / dz_mm, 0, n - 1)  # the fractional slice whose value each voxel gets
    low = np.minimum(below.astype(np.intp), n - 2)
    weight = (below - low).astype(np.float32)
    moved = np.take_along_axis(level_mm, low, 2) * (1 - weight) + np.take_along_axis(level_mm, low + 1, 2) * weight
    return np.asarray(np.where(up_mm > 0, np.minimum(level_mm, moved), np.maximum(level_mm, moved)), dtype=np.float32)
