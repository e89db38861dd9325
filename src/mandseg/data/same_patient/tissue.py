"""The tissue that two CTs are compared by: in steps of 3 mm, and in blocks of 12 mm."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mandseg.data.volume import Hu
from mandseg.metrics.masks import Mask

MARGIN = 10  # steps of the image around the label
IN_BODY_HU = -200
BRIGHTEST_HU = 1200  # metal and its streaks do not decide
BLOCK = 4  # steps: 12 mm
ROOM = 1  # blocks around the compared ones, for shifts
BLOCKS = (14, 12, 7)  # compared: 168 x 144 x 84 mm
BELOW = 2  # blocks below the lower end of the label
BONE_HU = 200  # bone counts as this where labels are not left out: it is alike in all people, soft tissue is not

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tissue:
    """The part of a CT that is compared; (X, Y, Z)."""

    image: Hu
    there: Mask
    brightest_hu: int
    """Higher values count as this."""


@dataclass(frozen=True)
class Blocks:
    """The tissue around the label's lower part, with a block of room on each side; (16, 14, 9)."""

    hu: Floats
    """HU minus the mean of the case, times the share of tissue."""
    share: Floats
    """Of tissue in the block, in [0, 1]."""


def tissue_of(image: Hu, label: npt.NDArray[np.uint8]) -> Tissue:
    """Leave out air, and the label: bone under two labels is alike in all people.

    Args:
        image: HU, (X + 20, Y + 20, Z + 20).
        label: What the label fills of each step, (X, Y, Z).
    """
    there = image >= IN_BODY_HU
    there[(slice(MARGIN, -MARGIN),) * 3] &= label == 0
    return Tissue(image, there, BRIGHTEST_HU)


def soft_tissue_of(image: Hu) -> Tissue:
    """Leave out air, and the differences between bones; where the label ends changes nothing."""
    return Tissue(image, image >= IN_BODY_HU, BONE_HU)


def blocks_of(image: Hu, anchor: npt.NDArray[np.int64]) -> Blocks:
    """Take the means of blocks around a place; a label that ends elsewhere changes nothing but this place.

    Args:
        image: HU, (X + 20, Y + 20, Z + 20).
        anchor: The step of the label at which shapes are laid upon each other.
    """
    extent = np.array(BLOCKS) + 2 * ROOM
    sizes = (extent * BLOCK).tolist()
    start = anchor + MARGIN - BLOCK * np.array([extent[0] // 2, extent[1] // 2, BELOW + ROOM])
    low, high = np.maximum(start, 0), np.minimum(start + sizes, image.shape)
    source = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    target = tuple(slice(s.start - a, s.stop - a) for s, a in zip(source, start.tolist(), strict=True))
    part = image[source]
    there, hu = np.zeros(sizes, np.float32), np.zeros(sizes, np.float32)
    there[target] = part >= IN_BODY_HU
    hu[target] = np.minimum(part, BONE_HU)
    hu *= there
    hu -= there * np.float32(hu.sum(dtype=np.float64) / max(there.sum(dtype=np.float64), 1.0))
    return Blocks(_means(hu), _means(there))


def _means(values: Floats) -> Floats:
    x, y, z = (n // BLOCK for n in values.shape)
    return np.asarray(values.reshape(x, BLOCK, y, BLOCK, z, BLOCK).mean((1, 3, 5)))
