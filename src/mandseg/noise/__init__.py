"""Realistic contouring errors in mm: modes, profiles, panels of annotators, and recorded labels.

A mode takes ``(mask, spacing_mm, rng)``, and the CT if the error depends on the image. It returns a mask on the same
grid, on RAS+ axes. A profile is a list of modes. A panel assigns cases to annotators, each with an own profile. A
source of noisy labels (``Panel``, ``Recorded``) gives the annotator and the noisy label of a case. docs/noise.md shows
all.
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
