"""Agreement of two masks on one grid: overlap, surface distances in mm and volumes, also for empty masks.

docs/metrics.md states every definition.
"""

from collections.abc import Sequence

from mandseg.metrics.catalogue import FURTHER, MEASURED, METRICS, VOLUMES
from mandseg.metrics.mask_pair import MaskPair
from mandseg.metrics.masks import Mask


def score(prediction: Mask, reference: Mask, spacing_mm: Sequence[float], up: int = 2) -> dict[str, float | str]:
    """Score one prediction against its reference on the image's own, uncropped grid.

    An empty mask has no surface. Its scores are defined in this table and are never NaN, so that no case is dropped
    from a mean. The diagonal of the grid is the largest distance of two points in it (the convention of BraTS).

    ========== ========= ========== ========== ========== ====================
    outcome    reference prediction Dice       NSD        HD95, ASSD
    ========== ========= ========== ========== ========== ====================
    scored     not empty not empty  as defined as defined as defined
    missed     not empty empty      0          0          diagonal of the grid
    spurious   empty     not empty  0          0          diagonal of the grid
    both_empty empty     empty      1          1          0
    ========== ========= ========== ========== ========== ====================

    Args:
        prediction: Mask, bool, (X, Y, Z).
        reference: Mask, bool, (X, Y, Z).
        spacing_mm: Voxel edge lengths along the three axes.
        up: The axis along the patient's body, in either direction; the third one on RAS+ axes.

    Returns:
        ``outcome`` (one of ``OUTCOMES``) and the finite numbers named in ``MEASURED``; ``volume_error_ml`` is
        prediction minus reference.

    Raises:
        UserError: The masks differ in shape.
        ValueError: The masks are not 3D arrays of bool, or the spacing is not three positive numbers.
    """
    pair = MaskPair(prediction, reference, spacing_mm, up)
    numbers = {metric.column: metric.measure(pair) for metric in (*METRICS, *FURTHER)}
    numbers |= {name: getattr(pair, name) for name in VOLUMES}
    return {"outcome": pair.outcome, **{name: numbers[name] for name in MEASURED}}
