"""Errors of the complete boundary: smooth, uniform, and a random walk."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from mandseg.metrics.signed_distance import Field
from mandseg.noise.modes.mode import Mode, severity_scaled
from mandseg.noise.modes.random_field import smooth_field
from mandseg.noise.modes.scene import Scene


@dataclass(frozen=True)
class SmoothError(Mode):
    """The boundary is displaced along its normal by a smooth Gaussian random field.

    Boundary errors affect networks, errors elsewhere hardly do (Heller et al. 2018, arXiv 1806.04618);
    biased ones more than unbiased (Vorontsov and Kadoury 2021, arXiv 2107.02189).

    Args:
        amplitude_mm: Standard deviation of the displacement.
        correlation_mm: Its correlation length.
        bias_mm: Mean displacement; positive is outward.
    """

    amplitude_mm: float = severity_scaled(1.0)
    correlation_mm: float = 15.0
    bias_mm: float = severity_scaled(0.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Subtract the displacement from the signed distance."""
        error = smooth_field(level_mm.shape, scene.spacing_mm, self.correlation_mm, rng)
        return np.asarray(level_mm - (self.bias_mm + self.amplitude_mm * error), np.float32)


@dataclass(frozen=True)
class Margin(Mode):
    """Uniform dilation (positive) or erosion (negative) in mm, equal in all directions for any voxel size.

    This is the usual model of label noise and the baseline.

    Args:
        outward_mm: Displacement of the boundary.
    """

    outward_mm: float = severity_scaled(1.0)

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Subtract the margin from the signed distance."""
        return np.asarray(level_mm - self.outward_mm, np.float32)


@dataclass(frozen=True)
class BoundaryWalk(Mode):
    """Patches of the boundary move outwards or inwards in steps.

    The Markov process of Yao et al. (ICLR 2023, "Learning to segment from noisy annotations: a spatial correction
    approach"), there in voxels: in each of T steps the label expands or shrinks, and each boundary voxel goes along
    with a probability. Here a step has a length in mm and what goes along is a patch, faded at its edge, so that voxel
    size changes nothing.

    Args:
        steps: Number of steps, T.
        step_mm: Length of a step.
        outward: Probability that a step expands.
        flip: Probability that a patch moves.
        patch_mm: Size of the patches.
    """

    steps: int = 8
    step_mm: float = severity_scaled(0.5)
    outward: float = 0.6
    flip: float = 0.5
    patch_mm: float = 6.0

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Subtract the sum of all steps."""
        moved = np.zeros(level_mm.shape, np.float32)
        for _ in range(self.steps):
            direction = 1 if rng.random() < self.outward else -1
            patches = smooth_field(level_mm.shape, scene.spacing_mm, self.patch_mm, rng)
            moved += direction * np.clip(special.ndtri(self.flip) - patches + 0.5, 0, 1)
        return np.asarray(level_mm - self.step_mm * moved, np.float32)
