"""Postprocessing of a predicted mask."""

import numpy as np

from mandseg.metrics.masks import Mask, bounding_box, connected_pieces


def without_small_pieces(mask: Mask, smallest_piece: float) -> Mask:
    """Keep the connected pieces (26-neighbourhood) of at least ``smallest_piece`` times the volume of the largest.

    To keep only the largest piece would be wrong: a mandible that is resected, fractured or split by a coarse grid has
    two pieces.
    """
    if (box := bounding_box(mask)) is None:
        return mask
    pieces, n_voxels = connected_pieces(mask[box], by_corners=True)  # of the box: a number a voxel takes much memory
    is_kept = n_voxels >= max(1.0, smallest_piece * n_voxels.max())
    kept = np.zeros_like(mask)
    kept[box] = np.concatenate([[False], is_kept])[pieces]
    return kept
