"""What answers, for a case, who drew its noisy label and what they drew: the cache and the phantoms ask it."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy.typing as npt

from mandseg.data.case import Case
from mandseg.metrics.masks import Mask


class LabelSource(Protocol):
    """A source of noisy labels, recorded or simulated (:mod:`mandseg.noise`)."""

    def available(self, case: Case) -> bool:
        """Whether there is a noisy label of the case."""

    def annotator(self, case: Case) -> str:
        """Who drew it; empty if nobody is named."""

    def label_key(self, case: Case) -> str:
        """A text that differs where the drawn label may differ."""

    def draw(
        self,
        case: Case,
        reference: Mask | None,
        recorded: Mask | None,
        spacing_mm: tuple[float, float, float],
        hu: npt.NDArray[Any],
    ) -> Mask:
        """The noisy label, (X, Y, Z) on RAS+ axes, on the grid of the image ``hu``."""


class AnnotatorPanel(LabelSource, Protocol):
    """Annotators to whom the cases of a cohort are dealt."""

    @property
    def size(self) -> int:
        """How many annotators there are."""

    @property
    def names(self) -> Sequence[str]:
        """Their names, in a fixed order."""
