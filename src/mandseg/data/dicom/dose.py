"""Reads an RTDOSE file: the dose in Gy, on its own grid."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from mandseg.data.dicom.dataset import numbers, read_dataset, reading, text
from mandseg.data.dicom.series import OFF_GRID, UNIT_TOLERANCE
from mandseg.data.dose.planned import implausible
from mandseg.data.formats.header import LPS_TO_RAS
from mandseg.data.volume import Affine, Volume
from mandseg.system.errors import UserError

GY_PER_UNIT = {"GY": 1.0, "CGY": 0.01}
WHOLE_PLAN = ("PLAN", "PLAN_OVERVIEW", "MULTI_PLAN", "")


@dataclass(frozen=True)
class Dose:
    """A dose on its own grid."""

    volume: Volume  # (columns, rows, frames), float32, Gy
    sum_of: str  # DoseSummationType: PLAN, BEAM, FRACTION, ...

    @property
    def of_whole_plan(self) -> bool:
        """Whether it is the dose of a plan, not of a beam or a fraction."""
        return self.sum_of in WHOLE_PLAN


def read_dose(path: Path) -> Dose:
    """Read an RTDOSE file.

    Raises:
        UserError: The file is damaged, the dose is not in Gy, is a difference or is implausible, or its frames make no
            regular grid.
    """
    with reading():
        dataset = read_dataset(path)
        units = text(dataset, "DoseUnits").upper()
        if units not in GY_PER_UNIT:
            raise UserError(f"DoseUnits {units if units == 'RELATIVE' else 'unknown'}, expected GY")
        if text(dataset, "DoseType").upper() == "ERROR":
            raise UserError("DoseType ERROR is a difference of two doses, expected PHYSICAL or EFFECTIVE")
        (scaling,) = numbers(dataset, "DoseGridScaling", 1)
        stored = np.asarray(dataset.pixel_array)
        stored = stored.reshape(-1, *stored.shape[-2:]).transpose(2, 1, 0)
        gray = (stored * (scaling * GY_PER_UNIT[units])).astype(np.float32)
        volume = Volume(gray, _affine(dataset, gray.shape[2]))
        if reason := implausible(volume):
            raise UserError(reason)
        return Dose(volume, text(dataset, "DoseSummationType").upper())


def _affine(dataset: Dataset, n_frames: int) -> Affine:
    """Make the affine to RAS+ mm; frame offsets are relative to the first frame, or are positions along z."""
    position = np.array(numbers(dataset, "ImagePositionPatient", 3))
    orientation = np.array(numbers(dataset, "ImageOrientationPatient", 6))
    along_row, along_column = orientation[:3], orientation[3:]
    lengths = np.linalg.norm([along_row, along_column], axis=1)
    if abs(along_row @ along_column) > UNIT_TOLERANCE or np.abs(lengths - 1).max() > UNIT_TOLERANCE:
        raise UserError("ImageOrientationPatient of the dose is no pair of unit vectors at a right angle")
    between_rows, between_columns = numbers(dataset, "PixelSpacing", 2)
    if min(between_rows, between_columns) <= 0:
        raise UserError(f"PixelSpacing of the dose is {between_rows:g}, {between_columns:g} mm, expected more than 0")
    offsets = np.array(numbers(dataset, "GridFrameOffsetVector", n_frames))
    steps = np.diff(offsets)
    step = float(steps.mean()) if n_frames > 1 else 1.0
    if n_frames > 1 and (step == 0 or np.abs(steps - step).max() > OFF_GRID * abs(step)):
        raise UserError(f"the dose's frames lie {steps.min():.4g} to {steps.max():.4g} mm apart, expected one spacing")
    counted = n_frames < 2 or offsets[0] == 0  # otherwise they are positions along the patient's z axis
    if not counted and abs(offsets[0] - position[2]) > OFF_GRID * abs(step):
        raise UserError(
            f"GridFrameOffsetVector begins with {offsets[0]:.5g}, expected 0 (offsets) or {position[2]:.5g} (positions)"
        )
    stacked = np.cross(along_row, along_column) if counted else np.array([0.0, 0.0, 1.0])
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([along_row * between_columns, along_column * between_rows, stacked * step])
    affine[:3, 3] = position
    return np.asarray(LPS_TO_RAS @ affine)
