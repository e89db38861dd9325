"""The subject: all measures of the anatomy of one phantom, drawn from a population.

Head coordinates in mm: x to the right, y forwards, z upwards. The origin is midway between the centres of the condyles.
"""

from dataclasses import dataclass

import numpy as np

from mandseg.data.phantom.population import Population
from mandseg.data.phantom.solids import Point

NECK_Y = -20.0  # of the neck's axis


@dataclass(frozen=True)
class Subject:
    """Sizes in mm, tissue values in HU."""

    # the mandible
    ramus_half_width: float
    """Half the distance between the rami where they meet the body."""
    chin_y: float
    """Centre line of the symphysis."""
    arch_power: float
    """Exponent of the arch: 0.5 is a parabola, smaller values are squarer."""
    flare: float
    """Lateral distance from the ramus at the body to the condyle of the same side."""
    chin_z: float
    """Lower border at the symphysis."""
    body_height: float
    body_half_thickness: float
    ramus_half_thickness: float
    gonion_z: float
    coronoid_z: float
    notch_z: float
    ramus_length: float
    """Front to back."""
    ramus_lean: float
    """Distance of the angle in front of the condyle."""
    condyle: Point
    """Semi-axes of a condyle's head."""
    condyle_yaw_deg: float

    # the teeth
    edentulous: bool
    mouth_opening: float
    lower_teeth: tuple[bool, ...]
    """Sixteen flags, from the right to the left wisdom tooth: whether the tooth exists."""
    upper_teeth: tuple[bool, ...]
    metal_crowns: tuple[tuple[str, int], ...]
    """Jaw ("lower", "upper") and index of each metal crown."""

    # tissue
    cortex_hu: float
    core_hu: float
    cortex_mm: float
    fat_mm: float
    neck_radius: float
    contrast: bool
    mask: bool

    # scanner and pose
    size: float
    chin_up_deg: float
    turn_deg: float
    roll_deg: float
    shift: Point
    noise_hu: float

    @property
    def neck_front_y(self) -> float:
        """Position of the skin over the larynx."""
        return self.neck_radius + NECK_Y


def draw_subject(population: Population, rng: np.random.Generator) -> Subject:
    """Draw one subject; volume and extents stay in the ranges of real mandibles (docs/phantom.md)."""

    def uniform(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    edentulous = bool(rng.random() < population.edentulous_share)
    metal_rng = rng.spawn(1)[0]
    body_height = uniform(25, 32)
    lower, upper = (_draw_teeth(population, edentulous, rng) for _ in range(2))
    chin_z = uniform(-88, -79)
    gonion_z = uniform(-62, -54)
    return Subject(
        ramus_half_width=uniform(43, 49),
        chin_y=uniform(73, 87),
        arch_power=uniform(0.40, 0.47),
        flare=uniform(4, 8),
        chin_z=chin_z,
        body_height=body_height - (uniform(7, 12) if edentulous else 0.0),
        body_half_thickness=uniform(4.9, 6.6) - (0.5 if edentulous else 0.0),
        ramus_half_thickness=uniform(3.0, 4.1),
        gonion_z=gonion_z,
        coronoid_z=uniform(-12, -1),
        notch_z=uniform(-25, -18),
        ramus_length=uniform(29, 36),
        ramus_lean=uniform(2, 12),
        condyle=(uniform(8.5, 10.5), uniform(4.0, 5.0), uniform(5.0, 6.5)),
        condyle_yaw_deg=uniform(10, 28),
        edentulous=edentulous,
        mouth_opening=uniform(1, 4) if rng.random() < 0.6 else uniform(6, 14),
        lower_teeth=lower,
        upper_teeth=upper,
        metal_crowns=_draw_metal(population, lower, upper, metal_rng),
        cortex_hu=uniform(1250, 1700) * population.bone_hu_scale,
        core_hu=uniform(260, 560) * population.bone_hu_scale,
        cortex_mm=uniform(2.0, 2.9) - (0.4 if edentulous else 0.0),
        fat_mm=uniform(3, 9),
        neck_radius=uniform(50, 62),
        contrast=bool(rng.random() < population.contrast_share),
        mask=bool(rng.random() < population.mask_share),
        size=uniform(*population.size_scale),
        chin_up_deg=uniform(*population.chin_up_deg),
        turn_deg=float(rng.normal(0, 2.5)),
        roll_deg=float(rng.normal(0, 2.0)),
        shift=(float(rng.normal(0, 4)), float(rng.normal(0, 3)), float(rng.normal(0, 5))),
        noise_hu=uniform(*population.noise_hu),
    )


def _draw_teeth(population: Population, edentulous: bool, rng: np.random.Generator) -> tuple[bool, ...]:
    wisdom = rng.random(16) < 0.35
    kept = rng.random(16) >= population.lost_tooth_share
    is_wisdom = np.isin(np.arange(16), (0, 15))
    return tuple(bool(k) and not edentulous for k in np.where(is_wisdom, wisdom, kept))


def _draw_metal(
    population: Population, lower: tuple[bool, ...], upper: tuple[bool, ...], rng: np.random.Generator
) -> tuple[tuple[str, int], ...]:
    """Draw the metal crowns on existing teeth, mostly molars and premolars."""
    teeth = [("lower", i) for i, there in enumerate(lower) if there]
    teeth += [("upper", i) for i, there in enumerate(upper) if there]
    wanted = int(rng.integers(population.metal_teeth[0], population.metal_teeth[1] + 1))
    if not teeth or rng.random() >= population.metal_share:
        return ()
    weight = np.array([3.0 if index in (1, 2, 3, 4, 11, 12, 13, 14) else 1.0 for _, index in teeth])
    chosen = rng.choice(len(teeth), min(wanted, len(teeth)), replace=False, p=weight / weight.sum())
    return tuple(teeth[int(i)] for i in sorted(chosen))
