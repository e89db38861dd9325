"""A prediction and its reference on one grid, with the quantities that several metrics share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mandseg.metrics.dose.pair import DosePair
from mandseg.metrics.masks import Mask, bounding_box, volume_ml
from mandseg.metrics.outcome import Outcome
from mandseg.metrics.surfaces import Surfaces, surfaces
from mandseg.system.errors import UserError


@dataclass(frozen=True, eq=False)
class MaskPair:
    """Two masks on the image's own, uncropped grid.

    Args:
        prediction: bool, (X, Y, Z).
        reference: bool, (X, Y, Z).
        spacing_mm: Voxel edge lengths along the three axes.
        up: The axis along the patient's body, in either direction.
        dose: The doses of both masks; None where there is no dose.

    Raises:
        UserError: The masks differ in shape.
        ValueError: The masks are not 3D arrays of bool, or the spacing is not three positive numbers.
    """

    prediction: Mask
    reference: Mask
    spacing_mm: Sequence[float]
    up: int = 2
    dose: DosePair | None = None

    def __post_init__(self) -> None:
        if self.prediction.shape != self.reference.shape:
            raise UserError(
                f"shape {self.prediction.shape} of the prediction differs from {self.reference.shape} of the reference"
            )
        for name, mask in (("prediction", self.prediction), ("reference", self.reference)):
            if mask.dtype != np.bool_ or mask.ndim != 3:
                raise ValueError(f"{name} is a {mask.ndim}D array of {mask.dtype}, expected a 3D array of bool")
        if len(self.spacing_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in self.spacing_mm):
            raise ValueError(f"spacing {tuple(self.spacing_mm)} mm, expected three positive numbers")

    @cached_property
    def outcome(self) -> Outcome:
        """Whether the prediction, the reference, both or none are empty."""
        if not self.reference_ml:
            return "spurious" if self.prediction_ml else "both_empty"
        return "scored" if self.prediction_ml else "missed"

    @cached_property
    def reference_ml(self) -> float:
        """Volume of the reference."""
        return 0.0 if self._box is None else volume_ml(self.reference[self._box], self.spacing_mm)

    @cached_property
    def prediction_ml(self) -> float:
        """Volume of the prediction."""
        return 0.0 if self._box is None else volume_ml(self.prediction[self._box], self.spacing_mm)

    @cached_property
    def diagonal_mm(self) -> float:
        """The diagonal of the grid: the largest distance of two points in it (the convention of BraTS)."""
        return float(np.linalg.norm(np.array(self.reference.shape) * np.asarray(self.spacing_mm)))

    @cached_property
    def cropped(self) -> tuple[Mask, Mask]:
        """Prediction and reference cropped to the box of both."""
        if self._box is None:
            raise ValueError("both masks are empty: there is no box around them")
        return self.prediction[self._box], self.reference[self._box]

    @cached_property
    def _box(self) -> tuple[slice, slice, slice] | None:
        return bounding_box(self.prediction, self.reference)

    @cached_property
    def in_reference_slices(self) -> tuple[Mask, Mask]:
        """The cropped masks, cut to the slices between the lowest and the highest one of the reference, included."""
        if not self.reference_ml:
            raise ValueError("the reference is empty: it has no slices")
        prediction, reference = self.cropped
        box = bounding_box(reference)
        assert box is not None  # the reference has voxels
        cut = [slice(None)] * 3
        cut[self.up] = box[self.up]
        return prediction[tuple(cut)], reference[tuple(cut)]

    @cached_property
    def surfaces(self) -> Surfaces:
        """The surface elements of both masks, which are not empty."""
        return surfaces(*self.cropped, self.spacing_mm)
