"""One phantom case: a CT in HU and its reference mandible, which depend only on the population and the seed."""

import numpy as np
import numpy.typing as npt

from mandseg.data.phantom import bones, scanner, soft_tissue
from mandseg.data.phantom.canvas import Canvas
from mandseg.data.phantom.mandible import Mandible, crest_z, make_mandible
from mandseg.data.phantom.population import Population
from mandseg.data.phantom.solids import Field, Point
from mandseg.data.phantom.subject import Subject, draw_subject
from mandseg.data.phantom.teeth import Tooth, place_teeth
from mandseg.data.volume import Affine, Geometry, Volume, from_canonical

METAL_HU = 6000.0  # clipped later by the scanner
ENAMEL_HU, DENTINE_HU, PERIODONTAL_HU = 2500.0, 1700.0, 350.0
FIELD_CENTRE_Y_MM = -8.0
SEED_DOMAIN = 0x6D616E64  # separates phantom draws from other uses of the same seed


def phantom_case(population: Population, seed: int) -> tuple[Volume, Volume]:
    """Draw one subject and scan it.

    Returns:
        The CT (int16, HU in [-1024, 3071]) and the reference mandible (uint8, 0 or 1) on the same grid, stored along
        ``population.orientation``. The reference is the filled outline of the bone. It contains the roots of teeth and
        not the crowns.
    """
    _, tissue_rng, metal_rng, noise_rng = _streams(seed)
    subject = subject_of(population, seed)
    canvas = Canvas(population.shape, _affine(population), pose(subject), tissue_rng)
    mandible = make_mandible(subject)
    skin = _paint_soft_tissue(canvas, subject)
    inside = _paint_hard_tissue(canvas, subject, mandible, metal_rng)
    if population.couch:
        scanner.lay_on_couch(canvas, skin)
    if subject.mask:
        scanner.put_on_mask(canvas, skin)
    ct = scanner.reconstruct(canvas, population, subject, noise_rng)
    return _stored(ct, population), _stored(inside.astype(np.uint8), population)


def subject_of(population: Population, seed: int) -> Subject:
    """The subject of ``phantom_case`` with the same arguments."""
    return draw_subject(population, _streams(seed)[0])


def _streams(seed: int) -> list[np.random.Generator]:
    """Independent streams for subject, tissue, metal and noise, so that changing one does not change the others."""
    return np.random.default_rng([SEED_DOMAIN, seed]).spawn(4)


def pose(subject: Subject) -> Affine:
    """Rigid and isotropic: head coordinates to patient RAS+ mm, (4, 4)."""
    up, turn, roll = np.deg2rad([subject.chin_up_deg, subject.turn_deg, subject.roll_deg])
    pitch = np.array([[1, 0, 0], [0, np.cos(up), -np.sin(up)], [0, np.sin(up), np.cos(up)]])
    yaw = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    tilt = np.array([[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]])
    affine = np.eye(4)
    affine[:3, :3] = subject.size * (yaw @ tilt @ pitch)
    affine[:3, 3] = subject.shift
    return affine


def _affine(population: Population) -> Affine:
    """RAS+ grid, centred on the head in plane; ``above_condyles_mm`` of it lie above the condyles."""
    shape, spacing = np.array(population.shape), np.array(population.spacing_mm)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -0.5 * (shape - 1) * spacing
    affine[1, 3] += FIELD_CENTRE_Y_MM
    affine[2, 3] = population.above_condyles_mm - (shape[2] - 1) * spacing[2]
    return affine


def _stored(array: npt.NDArray[np.generic], population: Population) -> Volume:
    affine = _affine(population)
    if population.orientation == "LPS":
        last = affine @ [*(n - 1 for n in population.shape[:2]), 0, 1]
        affine = affine @ np.diag([-1.0, -1.0, 1.0, 1.0])
        affine[:2, 3] = last[:2]
    return Volume(np.ascontiguousarray(from_canonical(array, Geometry(population.shape, affine))), affine)


def _paint_soft_tissue(canvas: Canvas, subject: Subject) -> Field:
    skin = soft_tissue.paint_outline(canvas, subject, soft_tissue.body_outline(subject))
    canvas.limit = canvas.coverage(skin + soft_tissue.SKIN_MM + 2.0)  # muscles do not bulge through the skin
    soft_tissue.paint_muscles(canvas, subject)
    soft_tissue.paint_vessels(canvas, subject)
    canvas.limit = None
    soft_tissue.paint_airways(canvas, subject)
    return skin


def _paint_hard_tissue(
    canvas: Canvas, subject: Subject, mandible: Mandible, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Paint bones, teeth and metal with its streaks; returns the mandible's voxels."""
    upper_z = bones.upper_crest(subject)
    bones.paint_skull(canvas, subject)
    bones.paint_face(canvas, subject, mandible, upper_z)
    bones.paint_neck_bones(canvas, subject)
    inside = _paint_mandible(canvas, subject, mandible)
    metal = {jaw: frozenset(i for j, i in subject.metal_crowns if j == jaw) for jaw in ("lower", "upper")}
    lower_z = (crest_z(subject, 0.0), 0.07)
    teeth = place_teeth(mandible.arch, subject.lower_teeth, metal["lower"], lower_z, up=True, outwards_mm=0.0)
    teeth += place_teeth(mandible.arch, subject.upper_teeth, metal["upper"], (upper_z, 0.07), up=False, outwards_mm=0.5)
    scanner.streak(canvas, _paint_teeth(canvas, teeth), rng)
    return inside


def _paint_mandible(canvas: Canvas, subject: Subject, mandible: Mandible) -> npt.NDArray[np.bool_]:
    inside = np.zeros(canvas.hu.shape, bool)
    box = canvas.box(mandible.solid)
    if box is not None:
        distance = canvas.distance(mandible.solid, box)
        canvas.blend_bone(box, distance, subject.cortex_hu, subject.core_hu, subject.cortex_mm)
        inside[box] = distance <= 0
    for canal in mandible.canal():
        canvas.paint(canal, 60.0)
    return inside


def _paint_teeth(canvas: Canvas, teeth: list[Tooth]) -> list[Point]:
    """Paint roots in their sockets, dentine under enamel, metal; returns the positions of metal."""
    for tooth in teeth:
        canvas.paint(tooth.socket, PERIODONTAL_HU)
        canvas.paint(tooth.root, DENTINE_HU)
    for tooth in teeth:
        canvas.paint(tooth.crown, METAL_HU if tooth.metal else ENAMEL_HU)
        if not tooth.metal:
            canvas.paint(tooth.dentine, DENTINE_HU)
    return [tooth.centre for tooth in teeth if tooth.metal]
