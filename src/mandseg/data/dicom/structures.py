"""Reads RTSTRUCT files: ROIs with contours in DICOM patient coordinates."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from mandseg.data.dicom.dataset import read_dataset, reading, text
from mandseg.data.dicom.series import Points
from mandseg.system.errors import UserError
from mandseg.system.wording import count, verb

STRUCTURE_SET_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True)
class Contour:
    """One stored contour."""

    kind: str  # CLOSED_PLANAR, CLOSEDPLANAR_XOR, OPEN_PLANAR, OPEN_NONPLANAR or POINT
    points: Points  # (N, 3), LPS mm
    image_uids: tuple[str, ...]  # the images on which it was drawn; empty if not stated


@dataclass(frozen=True)
class Roi:
    """A region of interest."""

    number: int
    name: str
    frame_of_reference_uid: str
    interpreter: str
    contours: tuple[Contour, ...]


@dataclass(frozen=True)
class StructureSet:
    """A structure set: its descriptions, its references and its ROIs."""

    path: Path
    sop_uid: str
    label: str
    name: str
    series_description: str
    operators: str
    patient: str
    frame_of_reference_uids: tuple[str, ...]
    image_uids: Mapping[str, tuple[str, ...]]
    """UID of each referenced series -> UIDs of the referenced images."""
    rois: tuple[Roi, ...]

    @property
    def annotator(self) -> str:
        """The operators, otherwise the interpreters of the ROIs; empty if there are none."""
        interpreters = sorted({roi.interpreter for roi in self.rois if roi.interpreter})
        return self.operators or "\\".join(interpreters)


def read_structure_set(path: Path, only: Collection[int] | None = None) -> StructureSet:
    """Read an RTSTRUCT file.

    Args:
        path: The file.
        only: Numbers of the ROIs whose contours are read; by default all.

    Raises:
        UserError: The file is damaged or truncated, a contour has points that are not finite, or the number of an ROI
            to be read is there twice.
    """
    with reading():
        return _structure_set(path, read_dataset(path), only)


def _structure_set(path: Path, dataset: Dataset, only: Collection[int] | None) -> StructureSet:
    frames = _items(dataset, "ReferencedFrameOfReferenceSequence")
    studies = [study for frame in frames for study in _items(frame, "RTReferencedStudySequence")]
    series = [one for study in studies for one in _items(study, "RTReferencedSeriesSequence")]
    drawn = {int(item.ReferencedROINumber): item for item in _items(dataset, "ROIContourSequence")}
    interpreters = {
        int(item.ReferencedROINumber): text(item, "ROIInterpreter")
        for item in _items(dataset, "RTROIObservationsSequence")
        if text(item, "ReferencedROINumber")
    }
    rois = []
    named = [int(item.ROINumber) for item in _items(dataset, "StructureSetROISequence")]
    in_use = [int(item.ReferencedROINumber) for item in _items(dataset, "ROIContourSequence")]
    for item in _items(dataset, "StructureSetROISequence"):
        number = int(item.ROINumber)
        if only is None or number in only:
            _refuse_twice(number, named, "ROIs have")
            _refuse_twice(number, in_use, "groups of contours refer to")
        wanted = number in drawn and (only is None or number in only)
        points = _contours(drawn[number]) if wanted else ()
        frame = text(item, "ReferencedFrameOfReferenceUID")
        rois.append(Roi(number, text(item, "ROIName"), frame, interpreters.get(number, ""), points))
    return StructureSet(
        path=path,
        sop_uid=text(dataset, "SOPInstanceUID"),
        label=text(dataset, "StructureSetLabel"),
        name=text(dataset, "StructureSetName"),
        series_description=text(dataset, "SeriesDescription"),
        operators=text(dataset, "OperatorsName"),
        patient=text(dataset, "PatientID"),
        frame_of_reference_uids=tuple(dict.fromkeys(uid for f in frames if (uid := text(f, "FrameOfReferenceUID")))),
        image_uids={text(one, "SeriesInstanceUID"): _image_uids(one) for one in series},
        rois=tuple(rois),
    )


def _refuse_twice(number: int, found: Sequence[int], what: str) -> None:
    if (n := found.count(number)) > 1:
        raise UserError(f"{n} {what} the ROI number {number}, expected 1")


def _contours(drawn: Dataset) -> tuple[Contour, ...]:
    return tuple(
        Contour(text(item, "ContourGeometricType").upper(), _points(item), _image_uids(item))
        for item in _items(drawn, "ContourSequence")
    )


def _points(item: Dataset) -> npt.NDArray[np.float64]:
    try:
        stored = item.get("ContourData") or []
        if isinstance(stored, bytes):  # more than 64 KiB, stored with the VR UN
            stored = stored.decode("ascii").strip(" \0").split("\\")
        values = np.array(stored, float).ravel()
    except ValueError as error:
        raise UserError("a coordinate of a contour is no number") from error
    if values.size % 3:
        raise UserError(f"a contour has {count(values.size, 'coordinate')}, expected three a point")
    if not np.isfinite(values).all():
        n = int(np.count_nonzero(~np.isfinite(values)))
        raise UserError(f"{count(n, 'coordinate')} of a contour {verb(n, 'are')} NaN or infinite")
    stated = text(item, "NumberOfContourPoints")
    if stated and int(stated) != values.size // 3:
        raise UserError(f"a contour has {count(values.size // 3, 'point')}, NumberOfContourPoints is {int(stated)}")
    return values.reshape(-1, 3)


def _image_uids(item: Dataset) -> tuple[str, ...]:
    return tuple(text(image, "ReferencedSOPInstanceUID") for image in _items(item, "ContourImageSequence"))


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return list(dataset.get(keyword) or [])
