"""Postprocessing of a predicted mask."""

import numpy as np

from mandseg.metrics.masks import Mask, bounding_box, connected_pieces


def without_small_pieces(mask: Mask, smallest_piece: float) -> Mask:
    """Keep the connected pieces (26-neighbourhood) of at least ``smallest_piece`` times the volume of the largest.

    The largest piece alone would not do: a mandible that is resected, broken or split by a coarse grid has two pieces.
    """
    box = bounding_box(mask)
    if box is None:
        return mask
    pieces, n_voxels = connected_pieces(mask[box], by_corners=True)  # of the box: a number a voxel takes much memory
    is_kept = n_voxels >= max(1.0, smallest_piece * n_voxels.max())
    if is_kept.all():
        return mask
    out = np.zeros_like(mask)
    out[box] = np.concatenate([[False], is_kept])[pieces]
    return out
