"""Converts stored values to Hounsfield units and checks that the result is plausible."""

import math
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from mandseg.data.volume import AIR_HU, HIGHEST_HU, LOWEST_HU, Hu, rounded_hu
from mandseg.metrics.masks import Mask
from mandseg.system.errors import UserError

FAT_HU = (-115, -75)  # range of the pooled fat peak of a correct import
SOFT_TISSUE_HU = (20, 80)  # muscle, glands and contrast-filled vessels
SOFT_TISSUE_OF_ONE_HU = (10, 90)  # of a single image, whose peaks are less certain than those of a cohort
HU_IF_BELOW = -200  # every CT of a head has air below this; stored values with an offset have not
BRIGHT = 2000  # no corner of a scan is as bright: corners hold air or skin
SOFT_BELOW_HU = 500.0  # upper limit of the median around a label; it is 1,000 higher in images with an offset
BODY_HU = -300  # air and foam of the couch are below
SIGNED_TOP = 32768  # 16 bits: larger unsigned numbers are negative numbers with the wrong type
FILL_SHARE = 0.2  # of a volume: no tissue has one exact value in so many voxels
VOXELS_AT_A_TIME = 4_000_000  # of a histogram, which needs 20 bytes for each
FAT_SEEN = 0.05  # least height of a fat peak, relative to the peak of soft tissue

Array = npt.NDArray[Any]


def from_stored(stored: Array, offset: float) -> Hu:
    """Convert stored values to HU: stored = HU + offset; 0 marks voxels without a measurement.

    Args:
        stored: Any shape; 0 is outside the body or blanked, metal has up to 32767.
        offset: In HU.

    Returns:
        HU from -1000 (also where 0 is stored) to 3071.

    Raises:
        UserError: The offset is not a finite number.
    """
    if not math.isfinite(offset):
        raise UserError(f"--hu-offset {offset:g}: expected a finite number")
    return rounded_hu(np.where(stored == 0, AIR_HU, stored.astype(np.float64) - offset))


def signed(array: Array) -> tuple[Array, bool]:
    """Restore negative numbers that were read as unsigned 16 bits; also return whether there were any."""
    top = float(np.max(array))
    if not SIGNED_TOP <= top < 2 * SIGNED_TOP:
        return array, False
    wide: Array = array.astype(np.int32 if array.dtype.kind in "iu" else np.float64)
    return np.where(wide >= SIGNED_TOP, wide - 2 * SIGNED_TOP, wide), True


def padding(array: Array) -> tuple[float, Mask] | None:
    """Find the fill value outside the field of view and its voxels.

    At least four corners of the volume have this value, and it is lower than any CT number or as bright as metal. Metal
    of the same value inside the body is not padding, because it touches no face of the volume.

    Args:
        array: (X, Y, Z), HU or stored values.

    Returns:
        The value and its voxels that are connected to a face of the volume; None without padding.
    """
    from scipy import ndimage

    corners = Counter(float(array[corner]) for corner in product((0, -1), repeat=3))
    values = [v for v, n in corners.items() if n >= 4 and not LOWEST_HU <= v < BRIGHT]
    if not values:
        return None
    pieces, _ = ndimage.label(array == values[0])
    faces = [pieces[(slice(None),) * axis + (end,)] for axis in range(3) for end in (0, -1)]
    outside = np.unique(np.concatenate([face.ravel() for face in faces]))
    return values[0], np.isin(pieces, outside[outside != 0])


def bright_padding(array: Array) -> str:
    """Say in words that an image is bright outside the field of view; empty if it is not."""
    value, _ = padding(array) or (0.0, None)
    return f"holds {value:g} outside the field of view, as bright as metal" if value >= BRIGHT else ""


def tissue_around(array: Array, label: Mask, outside: Mask | None) -> float | None:
    """Compute the median around a label, in its box widened by a tenth on each side.

    Label, padding and blank voxels are excluded. Tongue, muscles and fat surround a mandible: about 40 HU.

    Args:
        array: (X, Y, Z), HU or stored values.
        label: (X, Y, Z).
        outside: (X, Y, Z), the padding.

    Returns:
        None if there is no such voxel.
    """
    if label.shape != array.shape:
        return None
    places = [np.flatnonzero(label.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    box = tuple(
        slice(max(0, int(place[0]) - 2 - len(place) // 10), int(place[-1]) + 3 + len(place) // 10) for place in places
    )
    there = ~label[box] if outside is None else ~(label[box] | outside[box])
    if (blank := fill_value(array)) is not None:
        there &= array[box] != blank
    return float(np.median(array[box][there])) if there.any() else None


def fill_value(array: Array) -> float | None:
    """Find the one value that fills much of a volume (clipped air, a blanked region); None if there is none."""
    values, counts = np.unique(array[::2, ::2, ::2], return_counts=True)
    most = int(np.argmax(counts))
    return float(values[most]) if counts[most] > FILL_SHARE * counts.sum() else None


def not_hu(array: Array, label: Mask | None) -> str:
    """Say in words why values cannot be HU of a body; empty if they can be.

    Args:
        array: (X, Y, Z).
        label: (X, Y, Z), a label of this image, if there is one.
    """
    low, high = float(np.min(array)), float(np.max(array))
    if low > HU_IF_BELOW:
        return f"image values from {low:g} to {high:g}, none below {HU_IF_BELOW:g}: not HU?"
    if high < BODY_HU:
        return f"image values from {low:g} to {high:g}, none above {BODY_HU:g}: no body in it?"
    found = padding(array)
    outside = found[1] if found else None
    if label is None or not label.any() or _has_air_and_tissue(array, outside):
        return ""
    tissue = tissue_around(array, label, outside)
    if tissue is None or tissue <= SOFT_BELOW_HU:
        return ""
    return f"the median around the label is {tissue:.0f}, soft tissue has about 40 HU: not HU?"


def _has_air_and_tissue(array: Array, outside: Mask | None) -> bool:
    """Whether an image is in HU whatever its label says: a label inside a bone is surrounded by bone."""
    every_second = (slice(None, None, 2),) * 3
    inside = array[every_second] if outside is None else array[every_second][~outside[every_second]]
    body = inside[inside > BODY_HU]
    return body.size > 0 and float(np.min(inside)) <= HU_IF_BELOW and float(np.median(body)) <= SOFT_BELOW_HU


def looks_like_hu(array: Array) -> bool:
    """Whether some values are below -200, as in any CT with air; stored values with an offset start at 0."""
    return float(np.min(array)) <= HU_IF_BELOW


def histogram(hu: Array) -> npt.NDArray[np.int64]:
    """Count the voxels at each HU from -1000 to 3071; values outside count at the ends."""
    counts = np.zeros(HIGHEST_HU - AIR_HU + 1, np.int64)
    for part in np.array_split(hu, max(1, min(len(hu), hu.size // VOXELS_AT_A_TIME))):
        counts += np.bincount(rounded_hu(part.ravel()).astype(np.int64) - AIR_HU, minlength=len(counts))
    return counts


def tissue_peaks(counts: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Find the peaks of fat and of soft tissue, in HU, in a histogram smoothed over 15 HU."""
    smooth = _smooth(counts)

    def peak(low: int, high: int) -> int:
        return low + int(np.argmax(smooth[low - AIR_HU : high - AIR_HU]))

    return peak(-180, -50), peak(-50, 150)


def peaks_in_words(counts: npt.NDArray[np.int64]) -> str:
    """Describe the peaks of fat and soft tissue in words."""
    fat, soft = tissue_peaks(counts)
    return f"{f'fat at {fat} HU' if _has_fat(counts) else 'no peak of fat'}, soft tissue at {soft} HU"


def is_doubtful(counts: npt.NDArray[np.int64]) -> bool:
    """Whether the peak of soft tissue, or an existing peak of fat, lies outside the range of correct CTs."""
    fat, soft = tissue_peaks(counts)
    fat_is_right = not _has_fat(counts) or FAT_HU[0] <= fat <= FAT_HU[1]
    return not (fat_is_right and SOFT_TISSUE_HU[0] <= soft <= SOFT_TISSUE_HU[1])


def is_off(counts: npt.NDArray[np.int64]) -> bool:
    """Whether the peak of soft tissue of a single image lies outside the range of correct CTs."""
    return not SOFT_TISSUE_OF_ONE_HU[0] <= tissue_peaks(counts)[1] <= SOFT_TISSUE_OF_ONE_HU[1]


def peaks_note(counts: npt.NDArray[np.int64], offset: float) -> str:
    """Describe the peaks of fat and soft tissue under an offset, and warn if they are implausible."""
    fat, soft = tissue_peaks(counts)
    where = f"the peak of fat lies at {fat} HU, the peak of soft tissue at {soft} HU"
    if not _has_fat(counts):
        where = f"there is no peak of fat, the peak of soft tissue lies at {soft} HU"
    note = f"HU = stored value - {offset:g}: {where}"
    if not is_doubtful(counts):
        return f"{note}, as expected"
    return (
        f"WARNING: {note}; expected {FAT_HU[0]} to {FAT_HU[1]} and {SOFT_TISSUE_HU[0]} to {SOFT_TISSUE_HU[1]}: "
        "is --hu-offset right?"
    )


def _has_fat(counts: npt.NDArray[np.int64]) -> bool:
    fat, soft = tissue_peaks(counts)
    smooth = _smooth(counts)
    return bool(smooth[fat - AIR_HU] > FAT_SEEN * smooth[soft - AIR_HU])


def _smooth(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.convolve(counts, np.ones(15), mode="same")
