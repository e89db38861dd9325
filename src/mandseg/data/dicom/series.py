"""Sorts the slices of a CT series into one regular grid, or refuses them.

Slices are sorted by their position along the normal of the image plane. File names, instance numbers and the position
of the patient do not matter. Positions and directions come from DICOM, so prone and feet-first patients are correct.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from mandseg.data.dicom.dataset import numbers, text
from mandseg.data.formats.header import LPS_TO_RAS
from mandseg.data.volume import Affine, Geometry
from mandseg.system.errors import UserError
from mandseg.system.wording import count

Points = npt.NDArray[np.float64]  # (N, 3)

ENHANCED = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", *ENHANCED)
TILT_TOLERANCE_DEG = 0.1  # shifts the top of a head of 250 mm by 0.4 mm
OFF_GRID = 0.05  # of the slice spacing: largest distance of a slice to the regular grid; headers round positions
SAME_PLACE = 0.01  # of the slice spacing
UNIT_TOLERANCE = 1e-3  # of a direction's length, and of the cosine between the two
ORIENTATIONS = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
}


@dataclass(frozen=True)
class Plane:
    """The position of one image: a file of a classic series or a frame of an enhanced file."""

    path: Path
    frame: int  # from 0; always 0 in a classic file
    sop_uid: str
    position_mm: tuple[float, ...]  # (3,), LPS, of the first pixel's centre
    orientation: tuple[float, ...]  # (6,), along a row, then along a column
    spacing_mm: tuple[float, ...]  # (2,), between rows, then between columns
    shape: tuple[int, int]  # rows, columns
    tilt_deg: float  # of the gantry, from the header
    patient_position: str
    localizer: bool


@dataclass(frozen=True)
class Series:
    """The planes of one CT, sorted, on one regular grid."""

    uid: str
    study_uid: str
    frame_of_reference_uid: str
    sop_class_uid: str
    planes: tuple[Plane, ...]
    geometry: Geometry
    """Shape (columns, rows, slices); affine to RAS+ mm."""
    notes: tuple[str, ...] = ()

    @property
    def slice_mm(self) -> float:
        """Distance of neighbouring slices, in mm."""
        return self.geometry.spacing_mm[2]

    def to_index(self, points_lps_mm: Points) -> Points:
        """Convert DICOM patient coordinates, (N, 3) in mm, to voxel indices (column, row, slice)."""
        inverse = np.linalg.inv(self._lps)
        return np.asarray(points_lps_mm @ inverse[:3, :3].T + inverse[:3, 3])

    def to_patient(self, indices: Points) -> Points:
        """Convert voxel indices, (N, 3), to DICOM patient coordinates in mm."""
        return np.asarray(indices @ self._lps[:3, :3].T + self._lps[:3, 3])

    @property
    def _lps(self) -> Affine:
        return np.asarray(LPS_TO_RAS @ self.geometry.affine)


def planes_of(path: Path, dataset: Dataset) -> list[Plane]:
    """Find the positions of the images of a CT; must be called inside ``reading``.

    Args:
        path: Where the pixels can be read later.
        dataset: The file's header.

    Raises:
        UserError: An image has no position.
    """
    if dataset.SOPClassUID not in ENHANCED:
        return [_plane(path, 0, dataset, dataset, dataset, dataset)]
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if not frames:
        raise UserError("an enhanced image has no PerFrameFunctionalGroupsSequence, expected one item a frame")
    return [
        _plane(
            path,
            number,
            dataset,
            frame_group(dataset, number, "PlanePositionSequence"),
            frame_group(dataset, number, "PlaneOrientationSequence"),
            frame_group(dataset, number, "PixelMeasuresSequence"),
        )
        for number in range(len(frames))
    ]


def frame_group(dataset: Dataset, frame: int, name: str) -> Dataset:
    """Give a functional group of a frame of an enhanced image, or the group of all frames; empty if none."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for groups in (dataset.PerFrameFunctionalGroupsSequence[frame], shared[0]):
        if group := groups.get(name):
            return Dataset(group[0])
    return Dataset()


def arrange(
    planes: Sequence[Plane], uid: str, study_uid: str, frame_of_reference_uid: str, sop_class_uid: str
) -> Series:
    """Sort planes along their normal and find their regular grid.

    Raises:
        UserError: Planes differ in shape, spacing or direction; slices are missing, there twice or unevenly spaced;
            the gantry was tilted; there are fewer than two.
    """
    images = [plane for plane in planes if not plane.localizer]
    if len(images) < 2:
        raise UserError(f"the series has {len(images)} slice, expected at least 2")
    _refuse_different(images)
    along_row, along_column = _directions(images[0])
    normal = np.cross(along_row, along_column)
    images.sort(key=lambda plane: float(np.dot(plane.position_mm, normal)))
    positions_mm = np.array([plane.position_mm for plane in images])
    _refuse_irregular(positions_mm @ normal)
    step = (positions_mm[-1] - positions_mm[0]) / (len(images) - 1)
    _refuse_tilt(step, normal, images[0].tilt_deg)
    _refuse_shifted(positions_mm, step)
    rows, columns = images[0].shape
    between_rows, between_columns = images[0].spacing_mm
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([along_row * between_columns, along_column * between_rows, step])
    affine[:3, 3] = positions_mm[0]
    geometry = Geometry((columns, rows, len(images)), np.asarray(LPS_TO_RAS @ affine))
    notes = _notes(images, len(planes) - len(images))
    return Series(uid, study_uid, frame_of_reference_uid, sop_class_uid, tuple(images), geometry, notes)


def _plane(path: Path, frame: int, whole: Dataset, position: Dataset, orientation: Dataset, measures: Dataset) -> Plane:
    shape = int(whole.get("Rows") or 0), int(whole.get("Columns") or 0)
    if min(shape) < 1:
        raise UserError(f"an image has {count(shape[0], 'row')} and {count(shape[1], 'column')}, expected at least 1")
    spacing_mm = numbers(measures, "PixelSpacing", 2)
    if min(spacing_mm) <= 0:
        raise UserError(f"PixelSpacing is {spacing_mm[0]:g}, {spacing_mm[1]:g} mm, expected more than 0")
    return Plane(
        path=path,
        frame=frame,
        sop_uid=text(whole, "SOPInstanceUID"),
        position_mm=numbers(position, "ImagePositionPatient", 3),
        orientation=numbers(orientation, "ImageOrientationPatient", 6),
        spacing_mm=spacing_mm,
        shape=shape,
        tilt_deg=numbers(whole, "GantryDetectorTilt", 1)[0] if text(whole, "GantryDetectorTilt") else 0.0,
        patient_position=text(whole, "PatientPosition").upper(),
        localizer="LOCALIZER" in text(whole, "ImageType").upper(),
    )


def _directions(plane: Plane) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    along_row, along_column = np.array(plane.orientation[:3]), np.array(plane.orientation[3:])
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    if np.abs(np.array(lengths) - 1).max() > UNIT_TOLERANCE or abs(along_row @ along_column) > UNIT_TOLERANCE:
        raise UserError(
            f"ImageOrientationPatient is {_show(plane.orientation)}, expected two unit vectors at a right angle"
        )
    return along_row / lengths[0], along_column / lengths[1]


def _refuse_different(planes: Sequence[Plane]) -> None:
    first = planes[0]
    for plane in planes:
        where = f"at {_show(plane.position_mm)} mm, {{}} at {_show(first.position_mm)} mm"
        if plane.shape != first.shape:
            raise UserError(f"a slice has {plane.shape} rows and columns {where.format(first.shape)}")
        if not np.allclose(plane.spacing_mm, first.spacing_mm, rtol=1e-4):
            raise UserError(f"pixel spacing is {_show(plane.spacing_mm)} mm {where.format(_show(first.spacing_mm))}")
        if not np.allclose(plane.orientation, first.orientation, atol=UNIT_TOLERANCE):
            raise UserError(f"orientation is {_show(plane.orientation)} {where.format(_show(first.orientation))}")


def _refuse_irregular(heights_mm: npt.NDArray[np.float64]) -> None:
    """Refuse duplicate, missing or unevenly spaced slices; ``heights_mm`` are sorted along the normal."""
    gaps = np.diff(heights_mm)
    typical = float(np.median(gaps))
    if (double := gaps <= SAME_PLACE * typical).any():
        n_places = int(np.count_nonzero(~double)) + 1
        where = heights_mm[int(np.argmax(double))]
        raise UserError(f"{len(heights_mm)} slices at {n_places} positions: two lie at {where:.5g} mm, expected one")
    spacing = (heights_mm[-1] - heights_mm[0]) / len(gaps)
    off_mm = np.abs(heights_mm - heights_mm[0] - spacing * np.arange(len(heights_mm)))
    if off_mm.max() <= OFF_GRID * spacing:
        return
    wide = gaps > 1.5 * typical
    few = wide.sum() == 1 or wide.mean() <= 0.2
    if wide.any() and few and np.ptp(gaps[~wide]) <= 2 * OFF_GRID * typical:
        where, gap = heights_mm[int(np.argmax(wide))], gaps[int(np.argmax(wide))]
        raise UserError(f"slices are missing: a gap of {gap:.4g} mm above {where:.5g} mm, {typical:.4g} mm elsewhere")
    raise UserError(f"slice spacing varies from {gaps.min():.4g} to {gaps.max():.4g} mm, expected one spacing")


def _refuse_tilt(step: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], header_deg: float) -> None:
    cosine = float(step @ normal / np.linalg.norm(step))
    angle = float(np.degrees(np.arccos(min(1.0, cosine))))
    if angle > TILT_TOLERANCE_DEG:
        raise UserError(f"gantry tilt: slices are stacked at {angle:.2f} degrees to their normal, expected 0")
    if abs(header_deg) > TILT_TOLERANCE_DEG:
        raise UserError(f"gantry tilt: GantryDetectorTilt is {header_deg:g} degrees, the slices' positions give 0")


def _refuse_shifted(positions_mm: Points, step: npt.NDArray[np.float64]) -> None:
    expected = positions_mm[0] + np.arange(len(positions_mm))[:, None] * step
    off_mm = np.linalg.norm(positions_mm - expected, axis=1)
    if off_mm.max() > OFF_GRID * np.linalg.norm(step):
        worst = int(off_mm.argmax())
        raise UserError(f"a slice lies at {_show(positions_mm[worst])} mm, expected at {_show(expected[worst])} mm")


def _notes(planes: Sequence[Plane], n_localizers: int) -> tuple[str, ...]:
    notes = [f"{n_localizers} localizer images of the series left out"] if n_localizers else []
    position = planes[0].patient_position
    expected = ORIENTATIONS.get(position)
    if expected and np.dot(expected, planes[0].orientation) < 1:  # the product is 2 if both directions agree
        notes.append(
            f"WARNING: PatientPosition {position} does not fit the orientation {_show(planes[0].orientation)}, "
            "which is used"
        )
    return tuple(notes)


def _show(values: Sequence[float] | npt.NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value + 0.0:.5g}" for value in values) + ")"
