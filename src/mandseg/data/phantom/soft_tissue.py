"""Soft tissue: body outline, fat, muscles, glands, vessels and airways."""

import numpy as np

from mandseg.data.phantom.canvas import Canvas
from mandseg.data.phantom.solids import Field, Point, Solid, both_sides, ellipsoid, grown, tube, union
from mandseg.data.phantom.subject import NECK_Y, Subject

SKIN_HU, FAT_HU, MUSCLE_HU, AIRWAY_HU = 10.0, -100.0, 52.0, -990.0
SKIN_MM = 1.6


def body_outline(subject: Subject) -> Solid:
    """Skin surface of head, neck and the beginning of the shoulders."""
    s = subject
    face_width = s.ramus_half_width + 15.0
    smooth = [
        ellipsoid((0, -13, 44), (80, 100, 84)),
        ellipsoid((0, 30, -26), (face_width + 5, 58, 70)),
        ellipsoid((0, 26, 6), (face_width + 2, s.chin_y - 14, 56)),
        ellipsoid((0, s.chin_y - 28, -30), (48, 39, 60)),
        ellipsoid((0, s.chin_y - 8, s.chin_z + 12), (28, 24, 22)),
        tube(
            [(0, NECK_Y, -20), (0, NECK_Y, -135), (0, NECK_Y - 14, -230)],
            [s.neck_radius + 4, s.neck_radius, s.neck_radius + 12],
        ),
        ellipsoid((0, -42, -222), (190, 72, 82)),
    ]
    return union(*smooth, seam_mm=18.0)


def paint_outline(canvas: Canvas, subject: Subject, body: Solid) -> Field:
    """Fill the body with skin, fat and muscle; returns the signed distance to the skin on the whole grid."""
    distance = canvas.distance(body)
    _blend(canvas, distance, SKIN_HU)
    _paint_nose_and_ears(canvas, subject)
    _blend(canvas, distance + SKIN_MM, FAT_HU)
    face_fat = 1.0 + 0.6 * np.clip(-canvas.z / 60.0, 0.0, 1.0)
    marbled = np.clip(0.5 + 2.2 * (canvas.marbling + 1.05), 0.0, 1.0)  # about one seventh is fat
    muscle = FAT_HU + marbled * (MUSCLE_HU - FAT_HU) + 5.0 * canvas.texture
    _blend(canvas, distance + SKIN_MM + subject.fat_mm * face_fat, muscle)
    return distance


def _blend(canvas: Canvas, distance: Field, hu: float | Field) -> None:
    canvas.hu += canvas.coverage(distance) * (hu - canvas.hu)


def _paint_nose_and_ears(canvas: Canvas, subject: Subject) -> None:
    tip = subject.chin_y + 23.0
    canvas.paint(tube([(0, tip - 18, 24), (0, tip - 2, -12)], [6, 10]), SKIN_HU)
    for nostril in both_sides(tube([(4.5, tip + 3, -22), (5, tip - 16, -18)], [2.6, 4.0])):
        canvas.paint(nostril, AIRWAY_HU)
    for lip in (-1.0, 1.0):
        z = subject.chin_z + 36.0 + 5.0 * lip
        canvas.paint(
            tube([(-16, subject.chin_y + 6, z), (0, subject.chin_y + 11, z), (16, subject.chin_y + 6, z)], [4, 6, 4]),
            SKIN_HU + 20,
        )
    for ear in both_sides(ellipsoid((74, -20, 6), (4.5, 17, 28), yaw_deg=-20)):
        canvas.paint(ear, SKIN_HU)


def paint_muscles(canvas: Canvas, subject: Subject) -> None:
    """Masticatory muscles, tongue and floor of the mouth, neck muscles; fat compartments and glands between them."""
    s = subject
    w, gonion = s.ramus_half_width, s.gonion_z
    for fat in both_sides(ellipsoid((w - 4, 46, -40), (13, 16, 22)), ellipsoid((20, 10, -50), (9, 12, 30))):
        canvas.paint(fat, FAT_HU)  # buccal and parapharyngeal
    for gland in both_sides(ellipsoid((w + 8, -6, -34), (11, 15, 26), yaw_deg=15)):
        canvas.paint(gland, -15.0, grain_hu=25.0)  # parotid
    masseter: list[Point] = [(w + 15, 34, -6), (w + 11, 22, -32), (w + 6, 14, gonion + 6)]
    pterygoid: list[Point] = [(22, 20, -20), (32, 14, -40), (w - 9, 6, gonion + 8)]
    temporal: list[Point] = [(w + 3, s.ramus_length - 4, s.coronoid_z), (w + 17, 22, 26), (w + 22, 0, 60)]
    for muscle in both_sides(tube(masseter, [6, 8, 6]), tube(pterygoid, [5, 7, 6]), tube(temporal, [4, 8, 5])):
        canvas.paint(muscle, MUSCLE_HU + 8, grain_hu=5.0)
    for muscle in both_sides(tube([(20, 20, -12), (w - 2, 4, -6)], [6, 5])):
        canvas.paint(muscle, MUSCLE_HU + 4, grain_hu=5.0)  # lateral pterygoid
    for neck_fat in both_sides(tube([(36, -12, -58), (33, -18, -180)], [13, 13])):
        canvas.paint(neck_fat, FAT_HU + 8, grain_hu=8.0, opacity=0.9)
    for muscle in both_sides(tube([(54, -28, -16), (0.78 * s.neck_radius, -14, -85), (20, 12, -175)], [7, 9, 8])):
        canvas.paint(muscle, MUSCLE_HU + 6, grain_hu=5.0)  # sternocleidomastoid
    for gland in both_sides(ellipsoid((30, 26, s.chin_z + 12), (8, 14, 11))):
        canvas.paint(gland, 32.0, grain_hu=8.0)  # submandibular
    tongue = ellipsoid((0, s.chin_y - 36, s.chin_z + 36), (25, 30, 24))
    canvas.paint(tongue, MUSCLE_HU - 4, grain_hu=6.0)
    canvas.paint(ellipsoid((0, s.chin_y - 30, s.chin_z + 14), (20, 24, 12)), MUSCLE_HU, grain_hu=6.0)


def paint_vessels(canvas: Canvas, subject: Subject) -> None:
    """Carotids and jugular veins, bright when there is contrast."""
    hu = 190.0 if subject.contrast else 48.0
    for vessel in both_sides(
        tube([(27, -4, -8), (26, -2, -100), (22, 4, -210)], [2.6, 3.2, 3.6]),
        tube([(33, -10, -8), (34, -8, -100), (30, 0, -210)], [3.4, 5.0, 5.6]),
    ):
        canvas.paint(vessel, hu)


def paint_airways(canvas: Canvas, subject: Subject) -> None:
    """Pharynx, larynx, trachea and the slit over the tongue."""
    s = subject
    throat_y = s.chin_y - 66.0
    back: list[Point] = [(0, 12, -20), (0, throat_y, -48), (0, throat_y + 2, s.chin_z - 10)]
    canvas.paint(grown(tube(back, [8, 9, 8]), 3.0), MUSCLE_HU)
    canvas.paint(tube(back, [8, 7, 8]), AIRWAY_HU)
    larynx: list[Point] = [back[-1], (0, s.neck_front_y - 16, s.chin_z - 38), (0, s.neck_front_y - 19, s.chin_z - 120)]
    canvas.paint(grown(tube(larynx, [7, 6, 8]), 3.0), 70.0)
    canvas.paint(tube(larynx, [7, 5, 8]), AIRWAY_HU)
    slit = 1.0 + 0.35 * s.mouth_opening
    tongue_top = s.chin_z + 60.0
    canvas.paint(ellipsoid((0, s.chin_y - 34, tongue_top), (19, 28, slit + 1.0), pitch_deg=8), AIRWAY_HU)
    for vestibule in both_sides(ellipsoid((27, s.chin_y - 30, s.chin_z + 42), (2.2, 14, 5), yaw_deg=-30)):
        canvas.paint(vestibule, AIRWAY_HU, opacity=0.6)
