"""Checks an image before it is predicted: is it a CT in HU of a plausible size, and is its orientation stated?"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mandseg.data.importers.hounsfield import (
    HU_IF_BELOW,
    SIGNED_TOP,
    SOFT_TISSUE_OF_ONE_HU,
    bright_padding,
    histogram,
    is_off,
    looks_like_hu,
    tissue_peaks,
)
from mandseg.data.loaded_case import LEAST_VOXELS
from mandseg.data.volume import NIFTI_SUFFIXES, Volume, canonical, has_stated_orientation, show_mm
from mandseg.system.wording import count, verb

LEAST_EXTENT_MM = 20.0  # along any axis; the mandibles of 150 patients measure 27 to 129 mm
LARGEST_TILT_DEG = 25.0  # of an image's axes to the patient's; networks are trained with up to 10 degrees


def implausible(image: Volume) -> str:
    """The first thing that is implausible about an image, with what was found and what is expected; empty if nothing.

    Args:
        image: HU, in the axis order of the file.
    """
    return next(_problems(image), "")


def _problems(image: Volume) -> Iterator[str]:
    array, geometry = image.array, image.geometry
    if min(array.shape) < LEAST_VOXELS:
        size = " x ".join(map(str, array.shape))
        yield f"has {size} voxels, expected at least {LEAST_VOXELS} along each axis: a scout?"
        return
    extent_mm = np.array(array.shape) * geometry.spacing_mm
    if extent_mm.min() < LEAST_EXTENT_MM:
        yield f"covers {show_mm(extent_mm)}, expected at least {LEAST_EXTENT_MM:g} mm along each axis"
    if array.dtype.kind == "f" and (bad := int(array.size - np.count_nonzero(np.isfinite(array)))):
        yield f"has {count(bad, 'voxel')} that {verb(bad, 'are')} NaN or infinite"
        return
    low, high = float(array.min()), float(array.max())
    if low == high:
        yield f"is empty: every voxel is {low:g}"
        return
    if high >= SIGNED_TOP:
        yield f"has values up to {high:g}: negative numbers that were stored as unsigned? Expected HU"
    if padded := bright_padding(array):
        yield f"{padded}, expected air"
    if not looks_like_hu(array):
        yield f"is not in HU: the lowest value is {low:g}, expected air below {HU_IF_BELOW}"
    counts = histogram(array)
    if is_off(counts):
        expected = f"expected {SOFT_TISSUE_OF_ONE_HU[0]} to {SOFT_TISSUE_OF_ONE_HU[1]}"
        yield f"is not in HU: the peak of soft tissue lies at {tissue_peaks(counts)[1]} HU, {expected}"
    if (tilt := tilt_deg(image)) > LARGEST_TILT_DEG:
        yield f"is turned by {tilt:.0f} degrees to the patient's axes, expected at most {LARGEST_TILT_DEG:g}"


def unstated_orientation(path: Path) -> str:
    """Why a NIfTI file does not show where the patient's right, front and top are; empty if it states this."""
    if not path.name.lower().endswith(NIFTI_SUFFIXES) or has_stated_orientation(path):
        return ""
    return "states no orientation: sform_code and qform_code are 0 in its header, expected 1 or more"


def tilt_deg(image: Volume) -> float:
    """The largest angle of an image's axes to the nearest axis of the patient, in degrees, in [0, 55]."""
    affine = canonical(image.geometry).affine
    cosines = np.diag(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))))
