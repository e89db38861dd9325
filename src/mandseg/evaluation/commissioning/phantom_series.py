"""Writes a synthetic CT series as DICOM, in any patient position, for the checks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from mandseg.data.dicom.archive import read_series
from mandseg.data.dicom.dataset import quietly
from mandseg.data.dicom.series import ORIENTATIONS, Series
from mandseg.data.volume import Array

STORED_OFFSET = 1024  # stored value of 0 HU
PATIENT = "MANDSEG-COMMISSIONING"


def write_phantom_series(
    folder: Path,
    hu: Array,
    spacing_mm: Sequence[float],
    origin_mm: Sequence[float],
    position: str = "HFS",
    patient: str = PATIENT,
) -> Series:
    """Write a CT and read its geometry back.

    Args:
        folder: Gets one file a slice.
        hu: (columns, rows, slices), slices in the order of their normal.
        spacing_mm: Between columns, rows and slices.
        origin_mm: Of the first voxel's centre, LPS.
        position: HFS, HFP, FFS or FFP.
        patient: The PatientID.
    """
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    direction = np.array(ORIENTATIONS[position], float)
    normal = np.cross(direction[:3], direction[3:])
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(hu.shape[2]):
        dataset = _slice(hu[:, :, number], spacing_mm)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.PatientID, dataset.PatientPosition, dataset.InstanceNumber = patient, position, number + 1
        place_mm = np.asarray(origin_mm) + normal * spacing_mm[2] * number
        dataset.ImagePositionPatient = [f"{value:.4f}" for value in place_mm]
        dataset.ImageOrientationPatient = direction.tolist()
        with quietly():
            dataset.save_as(folder / f"CT_{number:04d}.dcm", enforce_file_format=True)
    return read_series(folder)


def _slice(hu: Array, spacing_mm: Sequence[float]) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = CTImageStorage, generate_uid(), "CT"
    dataset.PatientName = "Commissioning^Phantom"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyDate = dataset.StudyTime = ""
    dataset.ReferringPhysicianName = dataset.AccessionNumber = dataset.PositionReferenceIndicator = ""
    dataset.StudyID, dataset.SeriesNumber, dataset.Manufacturer = "1", 1, "mandseg"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PixelSpacing, dataset.SliceThickness = [spacing_mm[1], spacing_mm[0]], spacing_mm[2]
    dataset.Columns, dataset.Rows = hu.shape
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.KVP = 1, -STORED_OFFSET, ""
    dataset.AcquisitionNumber = ""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = (hu.T.astype(np.int32) + STORED_OFFSET).astype("<u2").tobytes()
    return dataset
