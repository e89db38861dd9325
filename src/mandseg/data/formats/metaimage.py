"""Parses MetaImage headers (.mha, .mhd); source: the MetaIO documentation of ITK."""

from pathlib import Path

import numpy as np

from mandseg.data.formats.header import ImageHeader, itk_affine, numbers, other_unit, whole_numbers
from mandseg.data.formats.text_header import TextHeader, existing, read_metaimage
from mandseg.data.formats.voxels import Packing, Voxels

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
DIRECTIONS = ("TransformMatrix", "Orientation", "Rotation")
ORIGINS = ("Offset", "Position", "Origin")
SPACINGS = ("ElementSpacing", "ElementSize")


def read_header(path: Path) -> ImageHeader:
    """Parse a header.

    Raises:
        ValueError: It is no MetaImage header or needs what is not supported; the text gives the field and its value.
        UserError: A data file is missing.
    """
    header = read_metaimage(path)
    fields = header.fields
    sizes = whole_numbers(fields, "DimSize", _dimensions(fields))
    components = int(_first(fields, ("ElementNumberOfChannels",), 1, [1.0])[0])
    for scaling, neutral in (("ElementToIntensityFunctionSlope", 1.0), ("ElementToIntensityFunctionOffset", 0.0)):
        if (value := _first(fields, (scaling,), 1, [neutral])[0]) != neutral:
            raise ValueError(f"{scaling}: {value:g}, expected {neutral:g}; write scaled values")
    shape = tuple(sizes)
    affine = _affine(fields) if len(shape) == 3 else np.eye(4)
    unit = other_unit(fields, "DistanceUnits")
    return ImageHeader(shape, components, affine, _voxels(path, header), unit)


def _dimensions(fields: dict[str, str]) -> int:
    n = whole_numbers(fields, "NDims", 1)[0]
    if not 1 <= n <= 5:
        raise ValueError(f"NDims: {n}, expected 3")
    return n


def _first(fields: dict[str, str], names: tuple[str, ...], n: int, otherwise: list[float]) -> list[float]:
    return next((numbers(fields, name, n) for name in names if name in fields), otherwise)


def _affine(fields: dict[str, str]) -> np.ndarray:
    spacing = _first(fields, SPACINGS, 3, [1.0] * 3)
    if min(spacing) <= 0:
        raise ValueError(f"ElementSpacing: {spacing}, expected positive numbers")
    direction_of_axis = np.reshape(_first(fields, DIRECTIONS, 9, list(np.eye(3).ravel())), (3, 3))
    return itk_affine(direction_of_axis.T * spacing, np.array(_first(fields, ORIGINS, 3, [0.0] * 3)))


def _voxels(path: Path, header: TextHeader) -> Voxels:
    fields = header.fields
    kind = fields.get("ElementType", "")
    if kind not in TYPES:
        raise ValueError(f"ElementType: {kind[:80] or 'missing'}, expected a type of numbers such as MET_SHORT")
    order = ">" if _true(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
    files, start = (existing(path, header.data_names), 0) if header.data_names else ((path,), header.end)
    before = int(_first(fields, ("HeaderSize",), 1, [0.0])[0])
    if before < -1:
        raise ValueError(f"HeaderSize: {before}, expected -1 or more")
    packed, binary = _true(fields, "CompressedData"), _true(fields, "BinaryData", otherwise="True")
    packing: Packing = "deflate" if packed else "raw" if binary else "text"
    start = before if before and header.data_names else start
    return Voxels(files, np.dtype(order + TYPES[kind]), packing, start)


def _true(fields: dict[str, str], *names: str, otherwise: str = "False") -> bool:
    return next((fields[name] for name in names if name in fields), otherwise)[:1].upper() in ("T", "Y", "1")
