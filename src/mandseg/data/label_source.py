"""The interface of noisy labels that the cache and the phantoms use: the annotator of a case and the label."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mandseg.data.case import Case

if TYPE_CHECKING:  # a launch reads no label: it need not load numpy
    import numpy.typing as npt

    from mandseg.metrics.masks import Mask


class LabelSource(Protocol):
    """A source of noisy labels, recorded or simulated (:mod:`mandseg.noise`)."""

    def available(self, case: Case) -> bool:
        """Whether the case has a noisy label."""

    def annotator(self, case: Case) -> str:
        """The annotator of the noisy label; empty if unknown."""

    def label_key(self, case: Case) -> str:
        """A text that is different whenever the label may be different."""

    def draw(
        self,
        case: Case,
        reference: "Mask | None",
        recorded: "Mask | None",
        spacing_mm: tuple[float, float, float],
        hu: "npt.NDArray[Any]",
    ) -> "Mask":
        """The noisy label, (X, Y, Z) on RAS+ axes, on the grid of the image ``hu``."""


class AnnotatorPanel(LabelSource, Protocol):
    """Several annotators who share the cases of a cohort."""

    @property
    def size(self) -> int:
        """The number of annotators."""

    @property
    def names(self) -> Sequence[str]:
        """Their names, in a fixed order."""
