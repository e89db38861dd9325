"""Postprocessing of a predicted mask."""

import numpy as np

from mandseg.metrics.masks import Mask, connected_pieces


def without_small_pieces(mask: Mask, smallest_piece: float) -> Mask:
    """Keep the connected pieces (26-neighbourhood) of at least ``smallest_piece`` times the volume of the largest.

    To keep only the largest piece would be wrong: a mandible that is resected, fractured or split by a coarse grid has
    two pieces.
    """
    pieces, n_voxels = connected_pieces(mask, by_corners=True)
    if len(n_voxels) <= 1:
        return mask
    is_kept = n_voxels >= max(1.0, smallest_piece * n_voxels.max())
    return np.asarray(np.concatenate([[False], is_kept])[pieces], dtype=np.bool_)
