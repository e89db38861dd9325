"""Reads the pixels of a series as a CT in HU."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mandseg.data.dicom.dataset import numbers, read_dataset, reading, text
from mandseg.data.dicom.series import ENHANCED, Series, frame_group
from mandseg.data.volume import AIR_HU, LOWEST_HU, Volume
from mandseg.system.errors import UserError
from mandseg.system.wording import count

RLE = "1.2.840.10008.1.2.5"
SIGNS = 2**16  # some writers give the padding of unsigned pixels as a negative number, or the other way round
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def read_ct(series: Series) -> Volume:
    """Read the HU of a series and apply slope and intercept of each slice.

    Returns:
        int16 (columns, rows, slices), rounded to whole HU, none below -1024; padding is air.

    Raises:
        UserError: A slice's pixels are missing, damaged or in a compression that nothing here reads.
    """
    hu = np.empty(series.geometry.shape, np.int16)
    path, dataset = Path(), Dataset()
    stored: npt.NDArray[np.generic] = np.empty(0)
    with reading():
        for number, plane in enumerate(series.planes):
            if plane.path != path:
                path, dataset = plane.path, read_dataset(plane.path)
                stored = _stored(path, dataset, plane.shape)
            hu[:, :, number] = _to_hu(stored[plane.frame], dataset, plane.frame).T
    return Volume(hu, series.geometry.affine)


def _stored(path: Path, dataset: Dataset, shape: tuple[int, int]) -> npt.NDArray[np.generic]:
    """Decode the stored values of a file, (frames, rows, columns)."""
    try:
        syntax = dataset.file_meta.TransferSyntaxUID
        if not syntax.is_compressed or syntax == RLE:
            stored = np.asarray(dataset.pixel_array)
        else:
            stored = _decompressed(path, dataset)
    except Exception as error:  # codecs raise many types on broken bytes
        raise UserError(f"the pixels of a slice cannot be read: {_reason(dataset)}") from error
    stored = stored.reshape(-1, *stored.shape[-2:])
    if stored.shape[1:] != shape:
        raise UserError(f"the pixels of a slice have the shape {stored.shape[1:]}, its header has {shape}")
    if (n := _n_frames(dataset)) != len(stored):
        raise UserError(f"the pixels of a file make {count(len(stored), 'image')}, its header has {n}")
    return stored


def _decompressed(path: Path, dataset: Dataset) -> npt.NDArray[np.generic]:
    """Decode JPEG, JPEG-LS and JPEG 2000 with ITK's codecs, and undo slope and intercept, which ITK applies."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    values = sitk.GetArrayFromImage(reader.Execute())
    slope, intercept = _rescale(dataset, 0)
    if any(_rescale(dataset, frame) != (slope, intercept) for frame in range(_n_frames(dataset))):
        raise UserError("compressed frames differ in slope or intercept, expected the same for all")
    return np.asarray(np.rint((values - intercept) / slope))


def _to_hu(stored: npt.NDArray[np.generic], dataset: Dataset, frame: int) -> npt.NDArray[np.int16]:
    slope, intercept = _rescale(dataset, frame)
    values = stored.astype(np.float64)
    hu = np.rint(values * slope + intercept)
    if text(dataset, "PixelPaddingValue"):
        (padding,) = numbers(dataset, "PixelPaddingValue", 1)
        hu[(values - padding) % SIGNS == 0] = AIR_HU
    return np.clip(hu, LOWEST_HU, np.iinfo(np.int16).max).astype(np.int16)


def _rescale(dataset: Dataset, frame: int) -> tuple[float, float]:
    group = dataset
    if dataset.SOPClassUID in ENHANCED:
        group = frame_group(dataset, frame, "PixelValueTransformationSequence")
    (slope,), (intercept,) = numbers(group, "RescaleSlope", 1), numbers(group, "RescaleIntercept", 1)
    if slope == 0:
        raise UserError("RescaleSlope is 0, expected another number")
    return slope, intercept


def _n_frames(dataset: Dataset) -> int:
    return len(dataset.PerFrameFunctionalGroupsSequence) if dataset.SOPClassUID in ENHANCED else 1


def _reason(dataset: Dataset) -> str:
    if not dataset.get("PixelData"):
        return "there are none"
    if (syntax := UID(text(dataset.file_meta, "TransferSyntaxUID"))) not in NATIVE:
        name = syntax.name if syntax.type == "Transfer Syntax" else "an unknown transfer syntax"
        return f"they are damaged, or {name} cannot be decoded here; export without compression"
    stored = len(dataset.PixelData)
    expected = int(dataset.Rows) * int(dataset.Columns) * (int(dataset.get("BitsAllocated") or 16) // 8)
    return f"{stored} bytes, {expected} where they are not compressed"
