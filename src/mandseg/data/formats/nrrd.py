"""Parses NRRD headers (.nrrd, .nhdr); source: the format's definition, teem.sourceforge.net/nrrd/format.html."""

import re
from math import prod
from pathlib import Path

import numpy as np

from mandseg.data.formats.header import LARGEST_NUMBER, ImageHeader, itk_affine, numbers, other_unit, whole_numbers
from mandseg.data.formats.text_header import TextHeader, existing, read_nrrd
from mandseg.data.formats.voxels import Packing, Voxels
from mandseg.system.wording import count

VECTOR = re.compile(r"none|nan|\(([^()]*)\)", re.IGNORECASE)
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
CODE_OF = {name: code for code, names in TYPES.items() for name in names}
PACKINGS: dict[str, Packing] = {
    "raw": "raw",
    "gz": "deflate",
    "gzip": "deflate",
    "bz2": "bzip2",
    "bzip2": "bzip2",
    "txt": "text",
    "text": "text",
    "ascii": "text",
}
SPATIAL = ("domain", "space", "???", "none")  # kinds of an axis along which voxels lie
TO_LPS = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1, -1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1, -1, 1)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (1, 1, 1)),
    **dict.fromkeys(("scanner-xyz", "3d-right-handed", "3d-left-handed"), (1, 1, 1)),  # as ITK reads them
}


def read_header(path: Path) -> ImageHeader:
    """Parse a header.

    Raises:
        ValueError: It is no NRRD header, or it needs what is not supported; the text gives the field and its value.
        UserError: A data file is missing.
    """
    header = read_nrrd(path)
    fields = header.fields
    sizes = whole_numbers(fields, "sizes", whole_numbers(fields, "dimension", 1)[0])
    axes = _spatial_axes(fields)
    shape = tuple(sizes[axis] for axis in axes)
    components = prod(n for axis, n in enumerate(sizes) if axis not in axes)
    affine = _affine(fields, axes) if len(axes) == 3 else np.eye(4)
    unit = other_unit(fields, "space units", "units")
    return ImageHeader(shape, components, affine, _voxels(path, header), unit)


def _spatial_axes(fields: dict[str, str]) -> list[int]:
    n_axes = whole_numbers(fields, "dimension", 1)[0]
    if "space directions" in fields:
        return [axis for axis, vector in enumerate(_directions(fields, n_axes)) if vector is not None]
    kinds = fields.get("kinds", "").lower().split()
    return [n for n in range(n_axes) if not kinds or (n < len(kinds) and kinds[n] in SPATIAL)]


def _directions(fields: dict[str, str], n_axes: int) -> list[str | None]:
    """The vector of each axis as text; None for an axis along which no voxels lie."""
    vectors = [match[1] for match in VECTOR.finditer(fields["space directions"])]
    if len(vectors) != n_axes:
        raise ValueError(f"space directions: {fields['space directions'][:80]}, expected {count(n_axes, 'vector')}")
    return vectors


def _affine(fields: dict[str, str], axes: list[int]) -> np.ndarray:
    n_axes = whole_numbers(fields, "dimension", 1)[0]
    space = fields.get("space", "3d-right-handed").lower()
    if space not in TO_LPS:
        raise ValueError(f"space: {fields['space'][:80]}, expected left-posterior-superior or another space of CT")
    if "space directions" not in fields:
        if "axis mins" in fields or "axismins" in fields:
            raise ValueError("its position is given by axis mins, expected space directions and space origin")
        spacings = numbers(fields, "spacings", n_axes) if "spacings" in fields else [1.0] * n_axes
        return itk_affine(np.diag([spacings[axis] for axis in axes]), np.zeros(3))
    vectors = _directions(fields, n_axes)
    directions = [_vector(f"({vectors[axis]})", "space directions") for axis in axes]
    origin = _vector(fields["space origin"], "space origin") if "space origin" in fields else np.zeros(3)
    flip = np.diag(TO_LPS[space]).astype(float)
    return itk_affine(flip @ np.array(directions).T, flip @ origin)


def _vector(text: str, field: str) -> np.ndarray:
    try:
        vector = np.array([float(word) for word in text.strip().strip("()").split(",")])
    except ValueError:
        vector = np.empty(0)
    if vector.shape != (3,) or not (np.abs(vector) < LARGEST_NUMBER).all():
        raise ValueError(f"{field}: {text[:80]}, expected three numbers")
    return vector


def _voxels(path: Path, header: TextHeader) -> Voxels:
    fields = header.fields
    kind, encoding = fields.get("type", "").lower(), fields.get("encoding", "").lower()
    if kind not in CODE_OF:
        raise ValueError(f"type: {kind[:80] or 'missing'}, expected a type of numbers such as short")
    if encoding not in PACKINGS:
        raise ValueError(f"encoding: {encoding[:80] or 'missing'}, expected raw, gzip, bzip2 or ascii")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower(), "")
    code = CODE_OF[kind]
    if not order and not code.endswith("1") and PACKINGS[encoding] != "text":
        raise ValueError(f"endian: {fields.get('endian', 'missing')[:80]}, expected little or big")
    files, start = (existing(path, header.data_names), 0) if header.data_names else ((path,), header.end)
    skipped_lines, skipped = (whole_numbers(fields, f, 1)[0] if f in fields else 0 for f in ("line skip", "byte skip"))
    if skipped == -1 and encoding == "raw":
        start, skipped = -1, 0
    if skipped < 0 or skipped_lines < 0:
        raise ValueError(f"line skip: {skipped_lines}, byte skip: {skipped}; expected 0 or more")
    return Voxels(files, np.dtype((order or "<") + code), PACKINGS[encoding], start, skipped_lines, skipped)
