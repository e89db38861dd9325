"""Errors of pose: a shifted and rotated contour, as after a rigid registration or motion of the patient."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mandseg.metrics.signed_distance import Field
from mandseg.noise.modes.mode import Mode, severity_scaled
from mandseg.noise.modes.scene import Scene


@dataclass(frozen=True)
class Pose(Mode):
    """The contour is shifted and rotated about its centre (our own: no published size).

    Args:
        shift_mm: Standard deviation of the shift along each axis.
        rotation_deg: Standard deviation of the angle about each axis.
    """

    shift_mm: float = severity_scaled(1.0)
    rotation_deg: float = severity_scaled(1.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Sample the signed distance at the original position of each voxel."""
        shift_mm, angles = self.shift_mm * rng.standard_normal(3), self.rotation_deg * rng.standard_normal(3)
        if self.shift_mm == 0 and self.rotation_deg == 0:
            return level_mm
        spacing = np.array(scene.spacing_mm)
        middle_mm = np.array([np.mean(where) for where in np.nonzero(scene.mask)]) * spacing
        back = Rotation.from_euler("xyz", angles, degrees=True).as_matrix().T  # of points in mm
        offset_mm = middle_mm - back @ (middle_mm + shift_mm)
        matrix = back * spacing[None, :] / spacing[:, None]
        return np.asarray(
            ndimage.affine_transform(level_mm, matrix, offset_mm / spacing, order=1, mode="nearest"), np.float32
        )
