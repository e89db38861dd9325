"""Writes a mask as an RTSTRUCT file, which a planning system opens on the CT of the mask.

It has the study, frame of reference and patient of the CT and its own series UID, and it is UNAPPROVED.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from mandseg import __version__
from mandseg.data.dicom.contours import outlines
from mandseg.data.dicom.dataset import quietly, read_header, reading
from mandseg.data.dicom.series import Plane, Series
from mandseg.data.dicom.structures import STRUCTURE_SET_CLASS
from mandseg.data.volume import Volume
from mandseg.system.errors import UserError
from mandseg.system.files import atomic_write

STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, required here by the standard
COPIED = (
    *("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
    *("StudyDescription", "FrameOfReferenceUID", "PositionReferenceIndicator"),
)
"""Type 1 and 2 attributes of patient, study and frame of reference; empty if the CT has none."""
UTF_8 = "ISO_IR 192"
LONGEST_NAME = 64  # characters of an LO value
LONGEST_LABEL = 16  # of an SH value
COLOUR = (255, 128, 0)


def write_rtstruct(
    path: Path, mask: Volume, series: Series, name: str, label: str = "mandseg", description: str = ""
) -> None:
    """Write a structure set with one ROI, completely or not at all.

    Args:
        path: The file.
        mask: On the series' own grid; any value but 0 is inside.
        series: The CT, whose first file gives patient, study and frame of reference.
        name: The ROI's name, at most 64 characters.
        label: Of the structure set, at most 16 characters.
        description: Of the series, at most 64 characters.

    Raises:
        UserError: The mask is empty or on another grid, or a text is too long.
    """
    if difference := mask.geometry.disagreement(series.geometry):
        raise UserError(f"mask {difference} of the CT series")
    for what, text, longest in (("ROI name", name, LONGEST_NAME), ("label", label, LONGEST_LABEL)):
        if not 0 < len(text) <= longest or "\\" in text:
            raise UserError(f"{what} {text!r}: expected 1 to {longest} characters without a backslash")
    if not mask.array.any():
        raise UserError(f"mask of {name} is empty, expected at least one voxel")
    with quietly():
        dataset = structure_set_of(mask.array != 0, series, name, label, description[:LONGEST_NAME])
        with atomic_write(path) as file:
            dataset.save_as(file, enforce_file_format=True)


def structure_set_of(mask: npt.NDArray[np.bool_], series: Series, name: str, label: str, description: str) -> Dataset:
    """Make the data set of a structure set; must be called inside ``quietly``."""
    now = datetime.now()
    with reading():
        dataset = _head(read_header(series.planes[0].path), now)
    dataset.StructureSetLabel, dataset.StructureSetDate, dataset.StructureSetTime = label, *_date_and_time(now)
    dataset.SeriesDescription = description
    if not f"{name}{label}{description}".isascii():
        dataset.SpecificCharacterSet = UTF_8  # the CT's may not have these letters
    frame, roi, drawn, observation = Dataset(), Dataset(), Dataset(), Dataset()
    frame.FrameOfReferenceUID = dataset.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [_study(series)]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = 1, name, "AUTOMATIC"
    roi.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
    dataset.StructureSetROISequence = [roi]
    drawn.ROIDisplayColor, drawn.ReferencedROINumber = list(COLOUR), 1
    drawn.ContourSequence = _contours(mask, series)
    dataset.ROIContourSequence = [drawn]
    observation.ObservationNumber = observation.ReferencedROINumber = 1
    observation.RTROIInterpretedType, observation.ROIInterpreter = "ORGAN", ""
    dataset.RTROIObservationsSequence = [observation]
    dataset.ApprovalStatus = "UNAPPROVED"
    return dataset


def _head(ct: Dataset, now: datetime) -> Dataset:
    """Make the attributes of patient, study and object."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = (
        ImplicitVRLittleEndian  # explicit lengths are limited to 64 KiB, contours are longer
    )
    dataset.SOPClassUID, dataset.SOPInstanceUID = STRUCTURE_SET_CLASS, generate_uid(None)
    for keyword in COPIED:
        if keyword in ct or keyword not in ("SpecificCharacterSet", "StudyDescription"):
            setattr(dataset, keyword, ct.get(keyword, ""))
    dataset.FrameOfReferenceUID = ct.get("FrameOfReferenceUID") or generate_uid(None)
    dataset.Modality, dataset.SeriesInstanceUID, dataset.SeriesNumber = "RTSTRUCT", generate_uid(None), 1
    dataset.OperatorsName = ""
    dataset.Manufacturer, dataset.ManufacturerModelName, dataset.SoftwareVersions = "mandseg", "mandseg", __version__
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = _date_and_time(now)
    dataset.SeriesDate, dataset.SeriesTime = _date_and_time(now)
    return dataset


def _study(series: Series) -> Dataset:
    """Refer to the study, the series and all its images."""
    study, referenced = Dataset(), Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = STUDY_CLASS, series.study_uid
    referenced.SeriesInstanceUID = series.uid
    seen = {plane.sop_uid: plane for plane in series.planes}
    referenced.ContourImageSequence = [_image(series, plane, with_frame=False) for plane in seen.values()]
    study.RTReferencedSeriesSequence = [referenced]
    return study


def _contours(mask: npt.NDArray[np.bool_], series: Series) -> list[Dataset]:
    contours: list[Dataset] = []
    for number in np.flatnonzero(mask.any(axis=(0, 1))).tolist():
        for outline in outlines(mask[:, :, number]):
            points = series.to_patient(np.column_stack([outline, np.full(len(outline), number)]))
            contour = Dataset()
            contour.ContourImageSequence = [_image(series, series.planes[number])]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(points)
            contour.ContourNumber = len(contours) + 1
            contour.ContourData = decimal_strings(points.ravel().tolist())
            contours.append(contour)
    return contours


def decimal_strings(values: Sequence[float]) -> list[str]:
    """Format millimetres with four decimals in at most 16 characters; the rounding changes no voxel."""
    return [f"{value + 0.0:.4f}" for value in np.round(values, 4)]


def _image(series: Series, plane: Plane, with_frame: bool = True) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = series.sop_class_uid, plane.sop_uid
    if with_frame and len({one.path for one in series.planes}) < len(series.planes):
        image.ReferencedFrameNumber = plane.frame + 1
    return image


def _date_and_time(now: datetime) -> tuple[str, str]:
    return now.strftime("%Y%m%d"), now.strftime("%H%M%S")
