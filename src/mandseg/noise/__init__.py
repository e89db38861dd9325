"""Contouring errors that look like people's, in mm: modes, profiles, panels of annotators, and recorded labels.

A mode takes ``(mask, spacing_mm, rng)``, and the CT where the error follows the image, and returns a mask on the same
grid, on RAS+ axes. A profile is a list of modes, a panel deals cases to annotators with profiles of their own. A source
of noisy labels (``Panel``, ``Recorded``) answers, for a case, who drew it and what they drew. docs/noise.md shows all.
"""

from mandseg.noise.calibration import Target
from mandseg.noise.modes.anatomy import (
    MetalSmear,
    NeighbouringBone,
    RamusShaved,
    SymphysisOverdrawn,
    TeethIncluded,
    TipsCut,
)
from mandseg.noise.modes.boundary import BoundaryWalk, Margin, SmoothError
from mandseg.noise.modes.end_slices import EndSlices
from mandseg.noise.modes.gross import GrossError
from mandseg.noise.modes.mode import Mode
from mandseg.noise.modes.pose import Pose
from mandseg.noise.modes.slices import DroppedEnds, EveryNth, HandJitter, Polygon
from mandseg.noise.panel import Panel, Tendency
from mandseg.noise.preset import load_preset
from mandseg.noise.profile import Profile
from mandseg.noise.recorded import Recorded

NoiseSource = Recorded | Panel

__all__ = [
    "BoundaryWalk",
    "DroppedEnds",
    "EndSlices",
    "EveryNth",
    "GrossError",
    "HandJitter",
    "Margin",
    "MetalSmear",
    "Mode",
    "NeighbouringBone",
    "NoiseSource",
    "Panel",
    "Polygon",
    "Pose",
    "Profile",
    "RamusShaved",
    "Recorded",
    "SmoothError",
    "SymphysisOverdrawn",
    "Target",
    "TeethIncluded",
    "Tendency",
    "TipsCut",
    "load_preset",
]
