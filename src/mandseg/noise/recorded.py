"""Recorded noise: the noisy labels in the manifest."""

from dataclasses import dataclass

from mandseg.data.case import Case
from mandseg.metrics.masks import Mask, Spacing
from mandseg.noise.modes.scene import Hu
from mandseg.system.errors import UserError


@dataclass(frozen=True)
class Recorded:
    """The noisy label is the one in the manifest's column ``noisy``."""

    def annotator(self, case: Case) -> str:
        """The annotator in the manifest."""
        return case.annotator

    def available(self, case: Case) -> bool:
        """Whether the case has a noisy label."""
        return case.noisy is not None

    def label_key(self, case: Case) -> str:
        """A text that determines the label together with the files of the case."""
        return repr((self, case.annotator))

    def draw(
        self,
        case: Case,
        reference: Mask | None,
        recorded: Mask | None,
        spacing_mm: Spacing,
        hu: Hu | None = None,
    ) -> Mask:
        """Return the recorded noisy label, on RAS+ axes.

        Raises:
            UserError: The case has no noisy label.
        """
        if recorded is None:
            raise UserError(f"case {case.case_id}: no noisy label in the manifest, which noise=recorded needs")
        return recorded
