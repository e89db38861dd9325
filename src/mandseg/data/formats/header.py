"""What the header of an image gives: its grid, and where its voxels lie."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mandseg.data.formats.voxels import Voxels
from mandseg.system.wording import count

OTHER_UNIT = re.compile(
    r".*?(?<![a-z])([uµ]m|microns?|micromet(?:er|re)s?|cm|centimet(?:er|re)s?|m|met(?:er|re)s?|in|inch(?:es)?)(?![a-z]).*",
    re.IGNORECASE,
)
LARGEST_NUMBER = 1e15  # no size, position or direction has as many digits; NaN is not below it
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class ImageHeader:
    """Shape (fastest axis first), numbers a voxel, affine from voxel index to RAS+ mm (4, 4), unit, and the voxels."""

    shape: tuple[int, ...]
    components: int
    affine: npt.NDArray[np.float64]
    voxels: Voxels
    other_unit: str  # a unit of length that is not mm; empty if the header names none


def itk_affine(directions_mm: npt.NDArray[np.float64], origin_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Make the affine to RAS+ from the steps along the axes, (3, 3) with an axis in each column, and an LPS origin."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions_mm, origin_mm
    return np.asarray(LPS_TO_RAS @ affine, dtype=np.float64)


def other_unit(fields: dict[str, str], *names: str) -> str:
    """Return the first unit of length in these fields that is not mm; an empty text if there is none."""
    found = (OTHER_UNIT.fullmatch(fields[name]) for name in names if name in fields)
    return next((match[1] for match in found if match), "")


def numbers(fields: dict[str, str], name: str, n: int) -> list[float]:
    """Read ``n`` numbers of a field.

    Raises:
        ValueError: The field is missing, holds another number of words, or a word is no number below 1e15.
    """
    text = fields.get(name)
    if text is None:
        raise ValueError(f"{name} is missing")
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != n or not all(abs(value) < LARGEST_NUMBER for value in values) or n > 16:
        raise ValueError(f"{name}: {text[:80]}, expected {count(n, 'number')}")
    return values


def whole_numbers(fields: dict[str, str], name: str, n: int) -> list[int]:
    """Read ``n`` whole numbers of a field; ValueError as :func:`numbers`."""
    values = numbers(fields, name, n)
    if any(value != int(value) for value in values):
        raise ValueError(f"{name}: {fields[name][:80]}, expected whole numbers")
    return [int(value) for value in values]
