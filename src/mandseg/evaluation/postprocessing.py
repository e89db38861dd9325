"""What is done to a predicted mask."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def without_small_pieces(mask: npt.NDArray[np.bool_], smallest_piece: float) -> npt.NDArray[np.bool_]:
    """Keep the connected pieces (26-neighbourhood) of at least ``smallest_piece`` times the volume of the largest.

    A share, not the largest alone: a mandible that was resected, broken or cut in two by a coarse grid has two halves.
    """
    labels, n = ndimage.label(mask, np.ones((3, 3, 3)))
    if n <= 1:
        return mask
    voxels = np.bincount(labels.ravel())
    voxels[0] = 0
    return np.asarray((voxels >= max(1.0, smallest_piece * voxels.max()))[labels])
