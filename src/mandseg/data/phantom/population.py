"""Populations: the scanner protocol and the patients of a phantom cohort."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Population:
    """The common properties of the cases of one cohort; everything else varies between subjects.

    Shares are probabilities in [0, 1] for each subject. Ranges are sampled uniformly.
    """

    name: str
    shape: tuple[int, int, int]
    """Voxels along right, anterior, superior."""
    spacing_mm: tuple[float, float, float]
    orientation: Literal["RAS", "LPS"] = "RAS"
    """Axis directions of the stored array; the position in the patient does not depend on them."""
    above_condyles_mm: float = 62.0
    """Height of the field of view above the condyles; the rest lies below."""
    noise_hu: tuple[float, float] = (12.0, 26.0)
    """Standard deviation of the scanner noise."""
    noise_grain_mm: float = 0.9
    """Sigma of the Gaussian that correlates the noise."""
    kernel_sigma_mm: float = 0.9
    """In-plane point spread of the reconstruction kernel."""
    edge_gain: float = 0.0
    """Edge enhancement of a sharp kernel: the added share of the detail lost by blurring."""
    bone_hu_scale: float = 1.0
    """Factor on the HU of all bones, for mineral density and tube voltage."""
    edentulous_share: float = 0.1
    lost_tooth_share: float = 0.06
    """Probability that a tooth is missing in a dentate subject."""
    metal_share: float = 0.35
    metal_teeth: tuple[int, int] = (1, 4)
    """Fewest and most metal crowns in a subject that has metal."""
    contrast_share: float = 0.6
    """Share of scans with iodine in the neck vessels."""
    mask_share: float = 0.7
    """Share of scans in a thermoplastic immobilisation mask."""
    couch: bool = True
    chin_up_deg: tuple[float, float] = (-4.0, 12.0)
    """Head extension."""
    size_scale: tuple[float, float] = (0.95, 1.06)
    """Overall size of the head."""


CLINIC = Population(name="clinic", shape=(132, 132, 92), spacing_mm=(2.0, 2.0, 2.5))
"""Radiotherapy planning CT of the training hospital: medium kernel, flat couch, mask, mostly dentate adults."""

MAXILLOFACIAL = Population(
    name="maxillofacial",
    shape=(138, 138, 100),
    spacing_mm=(1.6, 1.6, 2.0),
    above_condyles_mm=60.0,
    noise_hu=(26.0, 40.0),
    noise_grain_mm=0.6,
    kernel_sigma_mm=0.6,
    edge_gain=0.35,
    edentulous_share=0.0,
    lost_tooth_share=0.04,
    metal_share=0.25,
    contrast_share=0.0,
    mask_share=0.0,
    couch=False,
    chin_up_deg=(-8.0, 3.0),
    size_scale=(0.93, 1.03),
)
"""External, surgical: thin slices, sharp bone kernel, noise, small field of view, young dentate patients, no mask."""

GERIATRIC = Population(
    name="geriatric",
    shape=(136, 136, 80),
    spacing_mm=(2.4, 2.4, 3.0),
    orientation="LPS",
    above_condyles_mm=75.0,
    noise_hu=(10.0, 20.0),
    noise_grain_mm=1.3,
    kernel_sigma_mm=1.3,
    bone_hu_scale=0.85,
    edentulous_share=0.6,
    lost_tooth_share=0.35,
    metal_share=0.6,
    metal_teeth=(2, 6),
    contrast_share=0.3,
    chin_up_deg=(0.0, 14.0),
)
"""External, geriatric: edentulous or much dental metal, osteopenic bone, thick slices, smooth kernel, wide field of
view; stored with LPS axes, to detect a reader that ignores the affine."""

POPULATIONS = (CLINIC, MAXILLOFACIAL, GERIATRIC)
