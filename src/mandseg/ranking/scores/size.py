"""Size of a label: volume and height."""

import numpy as np

from mandseg.metrics import masks
from mandseg.ranking.drawn_label import DrawnLabel


def volume_ml(label: DrawnLabel) -> float:
    """Volume of the label in ml; 0 if empty."""
    return masks.volume_ml(label.mask, label.spacing_mm)


def height_mm(label: DrawnLabel) -> float:
    """Cranio-caudal extent of the label in mm; 0 if empty."""
    z = np.flatnonzero(label.mask.any(axis=(0, 1)))
    return float(z[-1] + 1 - z[0]) * label.spacing_mm[2] if z.size else 0.0


def height_to_length(label: DrawnLabel) -> float | None:
    """Cranio-caudal over antero-posterior extent: lower where the upper ends are missing; None for an empty label."""
    box = masks.bounding_box(label.mask)
    if box is None:
        return None
    length_mm = (box[1].stop - box[1].start) * label.spacing_mm[1]
    return float(height_mm(label) / length_mm)
