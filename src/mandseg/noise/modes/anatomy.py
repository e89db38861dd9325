"""Errors at parts of the anatomy: teeth, processes, ramus, chin, neighbouring bone and metal."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import ndimage

from mandseg.metrics.masks import Mask
from mandseg.metrics.signed_distance import Field
from mandseg.noise.modes.mode import Mode, severity_scaled
from mandseg.noise.modes.random_field import smooth_field
from mandseg.noise.modes.scene import Scene

MAX_TIP_SHARE = 0.35  # of the height of the mandible: the largest missing part
CHIN_WIDTH_MM = 12.0
EDGE_MM = 4.0  # length over which a regional error fades
THINNED = 0.5  # largest share of the thickness that is removed, so that a thin ramus stays connected
STREAK_MM = (8.0, 8.0, 5.0)  # correlation length of the error beside metal: one or two slices along z
DENTAL_ARCH_MM = 8.0  # largest distance of a tooth to the bone


@dataclass(frozen=True)
class TeethIncluded(Mode):
    """Lower teeth are drawn as bone (van der Veen et al. 2021, doi 10.1186/s13014-020-01677-2).

    With a CT, dense voxels above the alveolar crest are added; without, the crest is raised along the body.

    Args:
        height_mm: Largest height above the crest.
        hu_above: HU of dentine, enamel and metal.
    """

    needs_mandible: ClassVar[bool] = True

    height_mm: float = severity_scaled(7.0)
    hu_above: float = 1200.0

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Join the teeth to the contour."""
        if self.height_mm == 0:
            return level_mm
        above = scene.region("teeth")
        if scene.hu is None:
            return self._raised(level_mm, above, scene.spacing_mm[2])
        near = scene.level_mm <= min(self.height_mm, DENTAL_ARCH_MM)
        teeth = ndimage.binary_closing(above & near & (scene.hu >= self.hu_above), iterations=1)
        return joined(level_mm, teeth & above, scene)

    def _raised(self, level_mm: Field, above: Mask, dz_mm: float) -> Field:
        raised = level_mm.copy()
        for k in range(1, min(round(self.height_mm / dz_mm), level_mm.shape[2] - 1) + 1):
            lifted = np.minimum(raised[:, :, k:], level_mm[:, :, :-k])
            raised[:, :, k:] = np.where(above[:, :, k:], lifted, raised[:, :, k:])
        return raised


@dataclass(frozen=True)
class TipsCut(Mode):
    """The tops of condyle and coronoid process are not drawn (van der Veen et al. 2021); each side separately.

    Args:
        condyle_mm: Mean height missing from the condyle.
        coronoid_mm: Mean height missing from the coronoid process.
    """

    needs_mandible: ClassVar[bool] = True

    condyle_mm: float = severity_scaled(8.0)
    coronoid_mm: float = severity_scaled(8.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Cut by a plane in front of the notch and one behind it."""
        x, y, z = scene.axes_mm()
        landmarks, cuts = scene.landmarks, rng.uniform(0.5, 1.5, (2, 2))
        drawn = level_mm
        for side, own, (condyle, coronoid) in zip(
            (landmarks.left, landmarks.right),
            (x <= landmarks.middle_x_mm, x > landmarks.middle_x_mm),
            cuts * (self.condyle_mm, self.coronoid_mm),
            strict=True,
        ):
            top = side.top_mm + scene.spacing_mm[2] / 2
            most = MAX_TIP_SHARE * (top - landmarks.low_z_mm)
            for cut, place in ((condyle, y <= side.notch_y_mm), (coronoid, y > side.notch_y_mm)):
                if cut > 0:
                    drawn = np.where(own & place, np.maximum(drawn, z - (top - min(cut, most))), drawn)
        return np.asarray(drawn, np.float32)


@dataclass(frozen=True)
class RamusShaved(Mode):
    """The ramus and its processes are drawn too thin, as in a soft-tissue window (our own: no published size).

    Args:
        inward_mm: Displacement of its boundary; the ramus stays connected.
    """

    needs_mandible: ClassVar[bool] = True

    inward_mm: float = severity_scaled(1.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Add to the distance in the ramus."""
        if self.inward_mm == 0:
            return level_mm
        inward_mm = self.inward_mm * _faded(scene.region("ramus", "condyle", "coronoid"), scene)
        around = [2 * int(np.ceil(EDGE_MM / s)) + 1 for s in scene.spacing_mm]
        deepest_mm = np.minimum(ndimage.minimum_filter(level_mm, around), 0)
        shaved = level_mm + np.minimum(inward_mm, -THINNED * deepest_mm)
        middle = (level_mm < 0) & (level_mm <= ndimage.minimum_filter(level_mm, (3, 3, 1)))
        return np.asarray(np.where(middle, np.minimum(shaved, THINNED * level_mm), shaved), np.float32)


@dataclass(frozen=True)
class SymphysisOverdrawn(Mode):
    """The chin is drawn too thick (our own: no published size).

    Args:
        outward_mm: Displacement of the boundary in the midline.
    """

    needs_mandible: ClassVar[bool] = True

    outward_mm: float = severity_scaled(2.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Subtract from the distance near the midline, in front."""
        x, y, _ = scene.axes_mm()
        landmarks = scene.landmarks
        depth = landmarks.front_y_mm - landmarks.ramus_until_y_mm
        front = np.clip((y - landmarks.ramus_until_y_mm) / max(depth, 1e-3), 0, 1)
        weight = np.exp(-0.5 * ((x - landmarks.middle_x_mm) / CHIN_WIDTH_MM) ** 2) * front
        return np.asarray(level_mm - self.outward_mm * weight, np.float32)


@dataclass(frozen=True)
class NeighbouringBone(Mode):
    """A threshold tool includes neighbouring bone: maxilla, temporal bone, hyoid (our own). Needs the CT.

    Args:
        reach_mm: Largest distance from the mandible.
        hu_above: The threshold of the tool.
    """

    needs_mandible: ClassVar[bool] = True

    reach_mm: float = severity_scaled(3.0)
    hu_above: float = 250.0

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Join dense voxels nearby."""
        dense = scene.ct("NeighbouringBone") >= self.hu_above
        if self.reach_mm == 0:
            return level_mm
        return joined(level_mm, dense & (scene.level_mm <= self.reach_mm), scene)


@dataclass(frozen=True)
class MetalSmear(Mode):
    """The boundary near streaks of dental metal is guessed in each slice. Needs the CT; without metal, no error.

    Contours vary by 8 mm cranio-caudally next to metal and by 3 mm elsewhere (O'Daniel et al. 2007).

    Args:
        amplitude_mm: Standard deviation of the displacement at the metal.
        outward_mm: Mean displacement there.
        reach_mm: Distance over which the error fades.
        hu_above: HU of metal.
    """

    amplitude_mm: float = severity_scaled(2.5)
    outward_mm: float = severity_scaled(1.0)
    reach_mm: float = 15.0
    hu_above: float = 2900.0

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Subtract a displacement that fades with the distance to metal, within its slices."""
        error = smooth_field(level_mm.shape, scene.spacing_mm, STREAK_MM, rng)
        metal = scene.ct("MetalSmear") >= self.hu_above
        if not metal.any():
            return level_mm
        distance_mm = ndimage.distance_transform_edt(~metal, sampling=scene.spacing_mm)
        streaked = ndimage.binary_dilation(np.asarray(metal.any(axis=(0, 1))))
        weight = np.exp(-((distance_mm / self.reach_mm) ** 2)) * streaked
        return np.asarray(level_mm - weight * (self.outward_mm + self.amplitude_mm * error), np.float32)


def joined(level_mm: Field, part: Mask, scene: Scene) -> Field:
    """Join voxels to a contour: their boundary is half a voxel beyond their centres."""
    inside = -0.5 * min(scene.spacing_mm)
    return np.asarray(np.where(part, np.minimum(level_mm, inside), level_mm), np.float32)


def _faded(region: Mask, scene: Scene) -> Field:
    sigma = [EDGE_MM / s for s in scene.spacing_mm]
    return np.asarray(ndimage.gaussian_filter(region.astype(np.float32), sigma, truncate=2), np.float32)
