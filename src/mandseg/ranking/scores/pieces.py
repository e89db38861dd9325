"""Connected pieces of a label: a mandible has one."""

from mandseg.metrics import masks
from mandseg.metrics.masks import bounding_box, connected_pieces
from mandseg.ranking.drawn_label import DrawnLabel


def n_pieces(label: DrawnLabel) -> float:
    """Number of pieces that do not touch, not even at a corner; 0 if empty."""
    return float(len(_sizes(label)))


def apart_ml(label: DrawnLabel) -> float:
    """Volume outside the largest piece, in ml; 0 if empty."""
    sizes = _sizes(label)
    total = masks.volume_ml(label.mask, label.spacing_mm)
    return total * (1 - max(sizes) / sum(sizes)) if sizes else 0.0


def _sizes(label: DrawnLabel) -> list[int]:
    box = bounding_box(label.mask)
    return [int(n) for n in connected_pieces(label.mask[box], by_corners=True)[1]] if box else []
