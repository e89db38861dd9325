"""From stored values to Hounsfield units, and whether the result looks like a CT of a person."""

import numpy as np
import numpy.typing as npt

AIR_HU = -1000
METAL_CAP_HU = 3071  # the top of a 12-bit CT: 4095 - 1024
FAT_HU = (-115, -75)  # where the pooled fat peak of a correct import lies
SOFT_TISSUE_HU = (20, 80)  # muscle, glands and contrast-filled vessels
HU_IF_BELOW = -200  # an image with air in it goes below this; stored values with an offset do not

Hu = npt.NDArray[np.int16]


def from_stored(stored: npt.NDArray[np.generic], offset: float) -> Hu:
    """Turn stored values into HU: stored = HU + offset, and 0 = nothing there.

    Args:
        stored: Any shape; 0 marks voxels outside the body or blanked, metal goes up to 32767.
        offset: In HU.

    Returns:
        HU from -1000 (also where nothing was stored) to 3071.
    """
    hu = np.where(stored == 0, AIR_HU, np.rint(stored.astype(np.float64) - offset))
    return np.clip(hu, AIR_HU, METAL_CAP_HU).astype(np.int16)


def looks_like_hu(array: npt.NDArray[np.generic]) -> bool:
    """Tell whether values go below -200, as HU do wherever there is air; stored values with an offset start at 0."""
    return float(np.min(array)) <= HU_IF_BELOW


def histogram(hu: Hu) -> npt.NDArray[np.int64]:
    """Count the voxels at each HU from -1000 to 3071."""
    return np.bincount(hu.ravel().astype(np.int64) - AIR_HU, minlength=METAL_CAP_HU - AIR_HU + 1)


def tissue_peaks(counts: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Find the peaks of fat and of soft tissue in a histogram, smoothed over 15 HU; in HU."""
    smooth = np.convolve(counts, np.ones(15), mode="same")

    def peak(low: int, high: int) -> int:
        return low + int(np.argmax(smooth[low - AIR_HU : high - AIR_HU]))

    return peak(-180, -50), peak(-50, 150)


def peaks_note(counts: npt.NDArray[np.int64], offset: float) -> str:
    """Say where fat and soft tissue lie under an offset, and whether that can be right."""
    fat, soft = tissue_peaks(counts)
    note = f"HU = stored value - {offset:g}: the peak of fat lies at {fat} HU, that of soft tissue at {soft} HU"
    if FAT_HU[0] <= fat <= FAT_HU[1] and SOFT_TISSUE_HU[0] <= soft <= SOFT_TISSUE_HU[1]:
        return f"{note}, as they should"
    return (
        f"WARNING: {note}; expected {FAT_HU[0]} to {FAT_HU[1]} and {SOFT_TISSUE_HU[0]} to {SOFT_TISSUE_HU[1]}: "
        "is --hu-offset right?"
    )
