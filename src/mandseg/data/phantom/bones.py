"""The other bones: skull base, face and neck. They are near the mandible, have similar HU, and are not in its label."""

from typing import cast

import numpy as np

from mandseg.data.phantom.canvas import Canvas
from mandseg.data.phantom.mandible import Mandible, condyle_centre, crest_z
from mandseg.data.phantom.solids import (
    Field,
    Point,
    Solid,
    both_sides,
    box,
    ellipsoid,
    grown,
    mirrored,
    tube,
    union,
    without,
)
from mandseg.data.phantom.subject import Subject

BRAIN_HU = 35.0
SINUS_HU = -990.0


def paint_skull(canvas: Canvas, subject: Subject) -> None:
    """Vault, brain, petrous bones, mastoid cells, joint sockets, sphenoid and the base between them."""
    cortex, core = 0.95 * subject.cortex_hu, 1.2 * subject.core_hu
    vault = ellipsoid((0, -14, 46), (72, 92, 74))
    canvas.paint_bone(without(vault, ellipsoid((0, 30, -34), (60, 62, 30))), cortex, core, 2.0)
    canvas.paint(grown(vault, -6.0), BRAIN_HU, grain_hu=4.0)
    for floor in (
        *both_sides(ellipsoid((22, 28, 12), (26, 22, 7), pitch_deg=12)),
        ellipsoid((0, -42, -14), (34, 30, 7)),
    ):
        canvas.paint_bone(floor, cortex, core, 1.8)  # middle fossa and occiput
    canvas.paint_bone(tube([(0, -14, -24), (0, 2, -8), (0, 14, 4)], [7, 9, 12]), cortex, core, 1.5)  # clivus, sphenoid
    canvas.paint(ellipsoid((0, 17, 4), (11, 9, 8)), SINUS_HU)
    canvas.paint(tube([(0, -32, -40), (0, -30, -12), (0, -28, 4)], [8.5, 12, 14]), BRAIN_HU)  # foramen magnum
    for petrous in both_sides(tube([(56, -14, 2), (36, -8, 2), (14, 4, -2)], [11, 9, 5])):
        canvas.paint_bone(petrous, 1.15 * subject.cortex_hu, 0.7 * subject.cortex_hu, 2.5)
    _paint_mastoids(canvas, subject)
    _paint_joint_sockets(canvas, subject)
    for canal in both_sides(tube([(84, -14, 1), (44, -11, 1)], [3.0, 2.6])):
        canvas.paint(canal, SINUS_HU)


def _paint_mastoids(canvas: Canvas, subject: Subject) -> None:
    for mastoid in both_sides(ellipsoid((57, -24, -10), (11, 13, 19))):
        canvas.paint_bone(mastoid, subject.cortex_hu, 500.0, 1.8)
        cells = canvas.box(mastoid)
        if cells is not None:
            inner = canvas.coverage(canvas.distance(mastoid, cells) + 3.0)
            air = np.clip(0.5 + 1.5 * canvas.texture[cells], 0, 1) * inner
            canvas.hu[cells] += air * (SINUS_HU - canvas.hu[cells]) * 0.8


def _paint_joint_sockets(canvas: Canvas, subject: Subject) -> None:
    """Temporal bone 2 mm above the condyle, with the articular eminence in front of it."""
    x, y, z = condyle_centre(subject)
    gap = ellipsoid((x - 1, y, z), tuple(r + 2.2 for r in subject.condyle))  # type: ignore[arg-type]
    roof = ellipsoid((x - 2, y + 3, z + 7.5), (15, 17, 6))
    eminence = ellipsoid((x, y + 13.5, z + 2.5), (10, 5, 7))
    for socket in both_sides(without(union(roof, eminence, seam_mm=4.0), gap)):
        canvas.paint_bone(socket, subject.cortex_hu, subject.core_hu, 1.8)


def paint_face(canvas: Canvas, subject: Subject, mandible: Mandible, upper_crest_z: float) -> None:
    """Maxilla with sinuses, palate, nose, orbits, zygoma with its arch, pterygoid plates."""
    cortex, core = 0.9 * subject.cortex_hu, subject.core_hu
    front = subject.chin_y - 2.0
    for orbit in both_sides(ellipsoid((33, front - 22, 20), (22, 24, 20))):
        canvas.paint_bone(orbit, cortex, core, 1.6)
    for maxilla in both_sides(ellipsoid((24, front - 26, -14), (21, 25, 20))):
        canvas.paint_bone(maxilla, cortex, core, 1.6)
    canvas.paint_bone(alveolar_process(mandible, subject, upper_crest_z), cortex, core, 1.3)
    for sinus in both_sides(ellipsoid((26, front - 28, -11), (15, 19, 16))):
        canvas.paint(sinus, SINUS_HU)
    for socket in both_sides(ellipsoid((33, front - 20, 20), (18.5, 24, 17.5))):
        canvas.paint(socket, -90.0)
    for globe in both_sides(ellipsoid((33, front - 11, 20), (12, 12, 12))):
        canvas.paint(globe, 12.0)
    _paint_nose(canvas, subject, front)
    palate = without(ellipsoid((0, front - 27, -27), (24, 28, 6)), ellipsoid((0, front - 27, -31), (21, 27, 7)))
    canvas.paint_bone(palate, cortex, core, 1.2)
    x, _, _ = condyle_centre(subject)
    cheek: list[Point] = [(38, front - 14, -8), (50, front - 22, -6), (x + 10, 38, 0), (x + 11, 20, 4), (x + 5, 6, 7)]
    for zygoma in both_sides(tube(cheek, [9, 8, 4.0, 3.4, 5])):
        canvas.paint_bone(zygoma, cortex, core, 1.8)
    for plate in both_sides(
        box((17, 22, -22), (1.6, 8, 15), 1.2, yaw_deg=12), box((24, 22, -22), (1.6, 8, 15), 1.2, yaw_deg=-14)
    ):
        canvas.paint(plate, 0.75 * cortex)


def _paint_nose(canvas: Canvas, subject: Subject, front: float) -> None:
    cavity = ellipsoid((0, front - 24, -10), (13, 33, 19))
    canvas.paint(cavity, SINUS_HU)
    canvas.paint(box((0.6, front - 24, -8), (1.2, 30, 16), 1.0), 120.0)
    for turbinate in both_sides(tube([(7, front - 4, -18), (8, front - 40, -17)], [3.6, 4.2])):
        canvas.paint(turbinate, 45.0)
    for turbinate in both_sides(tube([(6.5, front - 10, -6), (7, front - 40, -6)], [2.6, 3.2])):
        canvas.paint(turbinate, 45.0)
    for bone in both_sides(tube([(4, front + 6, 14), (6, front - 2, 34)], [2.2, 3.0])):
        canvas.paint(bone, 0.7 * subject.cortex_hu)
    canvas.paint_bone(ellipsoid((0, front - 8, 46), (34, 14, 10)), 0.9 * subject.cortex_hu, subject.core_hu, 2.0)


def alveolar_process(mandible: Mandible, subject: Subject, upper_crest_z: float) -> Solid:
    """The tooth-bearing ridge of the maxilla, along the same arch as the lower teeth."""
    depth = 7.0 if subject.edentulous else 15.0

    def distance(x: Field, y: Field, z: Field) -> Field:
        along, across = mandible.arch.along_and_across(np.abs(x), y)
        crest = upper_crest_z + 0.07 * along
        edge = np.maximum(np.maximum(crest - z, z - (upper_crest_z + depth + 9.0)), along - 60.0) + 4.0
        side = np.abs(across + 1.0) - (5.6 if not subject.edentulous else 4.4) + 4.0
        outside = np.sqrt(np.maximum(edge, 0) ** 2 + np.maximum(side, 0) ** 2)
        return cast(Field, outside + np.minimum(np.maximum(edge, side), 0) - 4.0)

    reach = subject.ramus_half_width + 6.0
    return Solid((-reach, 10.0, upper_crest_z - 3), (reach, subject.chin_y + 8, upper_crest_z + depth + 12), distance)


def paint_neck_bones(canvas: Canvas, subject: Subject) -> None:
    """Cervical spine, hyoid, thyroid cartilage with its calcified rim, styloid processes."""
    _paint_spine(canvas, subject)
    hyoid_y, hyoid_z = subject.neck_front_y - 8.0, subject.chin_z - 12.0
    horn: list[Point] = [(0, hyoid_y, hyoid_z), (10, hyoid_y - 4, hyoid_z), (17, hyoid_y - 24, hyoid_z + 5)]
    for half in both_sides(tube(horn, [3.6, 3.0, 1.6])):
        canvas.paint_bone(half, 0.6 * subject.cortex_hu, 250.0, 1.2)
    for plate in both_sides(box((11, hyoid_y - 12, hyoid_z - 28), (1.8, 14, 12), 1.4, yaw_deg=28)):
        canvas.paint(plate, 260.0, grain_hu=150.0)
    for styloid in both_sides(tube([(47, -12, -10), (38, -2, -42)], [2.4, 1.3])):
        canvas.paint(styloid, 0.8 * subject.cortex_hu)


def _paint_spine(canvas: Canvas, subject: Subject) -> None:
    cortex, core = 0.75 * subject.cortex_hu, 0.75 * subject.core_hu
    step = 17.5
    for level in range(8):  # C1 to T1
        y, z = -16.0 - 0.5 * abs(level - 3) ** 1.5 - (4.0 if level > 5 else 0.0), -32.0 - step * level
        if level == 0:
            _paint_atlas(canvas, cortex, core, y, z)
            continue
        body = box((0, y, z), (11.5, 9.0, 6.6), 5.5, pitch_deg=-6)
        canvas.paint(box((0, y, z - 0.5 * step), (9.0, 8.0, 3.0), 2.0), 85.0)
        canvas.paint_bone(body, cortex, core, 1.4)
        laminae: list[Point] = [(10, y - 5, z), (17, y - 12, z - 2), (11, y - 24, z - 4), (0, y - 31, z - 6)]
        for half in both_sides(tube(laminae, [4.5, 6.0, 3.4, 3.2])):
            canvas.paint_bone(half, cortex, core, 1.6)
        spine_end = -44 if level == 1 else -36 - 3.5 * max(level - 3, 0)
        canvas.paint_bone(tube([(0, y - 30, z - 6), (0, y + spine_end, z - 11)], [3.2, 3.4]), cortex, core, 1.6)
        for process in both_sides(tube([(11, y - 2, z), (23, y - 3, z - 2)], [3.6, 3.2])):
            canvas.paint(process, 0.6 * cortex)
    canvas.paint(tube([(0, -32, -30), (0, -34, -200)], [6.8, 6.8]), 30.0)  # spinal cord
    canvas.paint_bone(tube([(0, -15, -52), (0, -15, -28)], [5.5, 4.0]), cortex, core, 1.5)  # dens


def _paint_atlas(canvas: Canvas, cortex: float, core: float, y: float, z: float) -> None:
    ring: list[Point] = [(0, y + 8, z), (12, y + 3, z), (22, y - 8, z), (17, y - 25, z), (0, y - 33, z)]
    half = tube(ring, [3.4, 5.5, 7.5, 4.0, 3.4])
    for side in (half, mirrored(half)):
        canvas.paint_bone(side, cortex, core, 1.6)
    for condyle in both_sides(ellipsoid((17, y - 3, z + 10), (7, 10, 6))):
        canvas.paint_bone(condyle, cortex, core, 1.6)


def upper_crest(subject: Subject) -> float:
    """Height of the maxillary crest at the midline: two crowns and the opening of the mouth above the lower one."""
    lower = crest_z(subject, 0.0)
    if subject.edentulous:
        return lower + 14.0 + subject.mouth_opening
    return lower + 18.5 + subject.mouth_opening
