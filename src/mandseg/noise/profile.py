"""A profile: the errors of one annotator in their order, at a severity or calibrated to an agreement."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mandseg.metrics.masks import Mask, Spacing
from mandseg.noise.calibration import Target, calibrate
from mandseg.noise.modes.boundary import SmoothError
from mandseg.noise.modes.gross import GrossError
from mandseg.noise.modes.mode import Mode, redraw_all
from mandseg.noise.modes.scene import Hu, Scene, make_scene


@dataclass(frozen=True)
class Profile:
    """Modes in the order in which they are applied; gross errors come last and are not calibrated.

    Args:
        modes: The errors.
        severity: Factor on every size; 0 gives the reference, without gross errors.
        target: An agreement to reach instead, before gross errors; all modes get the same severity.
    """

    modes: Sequence[Mode]
    severity: float = 1.0
    target: Target | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", tuple(self.modes))

    def __call__(
        self,
        mask: Mask,
        spacing_mm: Spacing,
        rng: np.random.Generator,
        hu: Hu | None = None,
    ) -> Mask:
        """Draw a mask, bool, (X, Y, Z) on RAS+ axes, as this annotator would; same grid.

        Raises:
            ValueError: The mask is empty, a mode needs the CT, or the target cannot be reached.
        """
        scene, window = make_scene(mask, spacing_mm, hu)
        drawn = np.zeros_like(mask)
        drawn[window] = self.redraw(scene, rng)
        return drawn

    def redraw(self, scene: Scene, rng: np.random.Generator) -> Mask:
        """Draw the mandible of a scene, which may be reused for many drawings."""
        fine = [mode for mode in self.modes if not isinstance(mode, GrossError)]
        gross = [mode for mode in self.modes if isinstance(mode, GrossError)]
        *seeds, another = (int(seed) for seed in rng.integers(2**62, size=len(self.modes) + 1))

        def draw(severity: float, jitter_mm: float = 0.0) -> Mask:
            modes, own = [mode.scaled(severity) for mode in fine], seeds[: len(fine)]
            if jitter_mm:
                modes, own = [*modes, SmoothError(jitter_mm)], [*own, another]
            return redraw_all(modes, own, scene)

        severity, jitter_mm = self.severity, 0.0
        if self.target is not None:
            severity, jitter_mm = calibrate(draw, self.target, scene.mask, scene.spacing_mm)
        elif severity == 0:
            return scene.mask.copy()
        contour = draw(severity, jitter_mm) if severity or jitter_mm else scene.mask
        level = np.where(contour, -1.0, 1.0).astype(np.float32)
        for mode, seed in zip(gross, seeds[len(fine) :], strict=True):
            level = mode.redraw(level, scene, np.random.default_rng(seed))
        return np.asarray(level <= 0)
