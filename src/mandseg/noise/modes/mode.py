"""A mode: one kind of contouring error, a frozen set of parameters that redraws a mask.

Several modes change a signed distance (mm, negative inside) one after another, so that errors smaller than a voxel add
up. Only the last result becomes a mask.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from mandseg.metrics.masks import Mask, Spacing
from mandseg.metrics.signed_distance import Field
from mandseg.noise.modes.scene import Hu, Scene, make_scene, pieces_mm3

SPECK_MM3 = 100.0  # smaller separate pieces are never drawn, unless the mandible has one


def severity_scaled(default: float) -> Any:
    """Declare a parameter that severity multiplies: a length in mm, an angle or a share."""
    return field(default=default, metadata={"severity": True})


@dataclass(frozen=True)
class Mode(ABC):
    """One kind of contouring error; with all sizes 0 it is the identity."""

    needs_mandible: ClassVar[bool] = False
    """Whether it looks for parts of a mandible and means nothing for another structure."""

    @abstractmethod
    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Change a contour.

        Args:
            level_mm: Signed distance to the present contour, (X, Y, Z), mm, negative inside.
            scene: The mandible without errors.
            rng: The random stream; the number of draws must not depend on severity.
        """

    def scaled(self, severity: float) -> Self:
        """Multiply every size by ``severity``."""
        sizes = {f.name: severity * getattr(self, f.name) for f in fields(self) if f.metadata.get("severity")}
        return replace(self, **sizes)

    def __call__(
        self,
        mask: Mask,
        spacing_mm: Spacing,
        rng: np.random.Generator,
        hu: Hu | None = None,
    ) -> Mask:
        """Redraw a mask with this error alone.

        Args:
            mask: bool, (X, Y, Z), on RAS+ axes.
            spacing_mm: Voxel edge lengths.
            rng: The random stream.
            hu: CT on the same grid, HU, which some modes need.

        Returns:
            A mask on the same grid.

        Raises:
            ValueError: The mask is empty, or the mode needs the CT.
        """
        scene, window = make_scene(mask, spacing_mm, hu)
        drawn = np.zeros_like(mask)
        drawn[window] = self.redraw(scene.level_mm, scene, rng) <= 0
        return drawn


def redraw_all(modes: Sequence[Mode], seeds: Sequence[int], scene: Scene) -> Mask:
    """Draw a mandible with several errors, one after another, each with its own random stream.

    Returns:
        The contour in the window of the scene, without specks; if nothing is left, the innermost voxel.
    """
    level_mm = scene.level_mm
    for mode, seed in zip(modes, seeds, strict=True):
        level_mm = mode.redraw(level_mm, scene, np.random.default_rng(seed))
    drawn = np.asarray(level_mm <= max(0.0, float(level_mm.min())))
    return without_specks(drawn, min(SPECK_MM3, scene.smallest_piece_mm3), scene.spacing_mm)


def without_specks(drawn: Mask, least_mm3: float, spacing_mm: Spacing) -> Mask:
    """Remove connected pieces smaller than ``least_mm3``, but never the largest one."""
    volumes_mm3, pieces = pieces_mm3(drawn, spacing_mm)
    kept = volumes_mm3 >= min(least_mm3, float(volumes_mm3.max()))
    return drawn if kept.all() else np.asarray(np.append(False, kept)[pieces])
