"""Recorded noise: the noisy labels that the manifest names."""

from dataclasses import dataclass

from mandseg.data.case import Case
from mandseg.metrics.masks import Mask, Spacing
from mandseg.noise.modes.scene import Hu
from mandseg.system.errors import UserError


@dataclass(frozen=True)
class Recorded:
    """The noisy label is the one in the manifest's column ``noisy``."""

    def annotator(self, case: Case) -> str:
        """Who drew the noisy label, as the manifest says."""
        return case.annotator

    def available(self, case: Case) -> bool:
        """Whether the case has a noisy label."""
        return case.noisy is not None

    def label_key(self, case: Case) -> str:
        """Text that, with the case's files, determines the label."""
        return repr((self, case.annotator))

    def draw(
        self,
        case: Case,
        reference: Mask | None,
        recorded: Mask | None,
        spacing_mm: Spacing,
        hu: Hu | None = None,
    ) -> Mask:
        """The recorded noisy label, on RAS+ axes.

        Raises:
            UserError: The case has none.
        """
        if recorded is None:
            raise UserError(f"case {case.case_id}: no noisy label in the manifest, which noise=recorded needs")
        return recorded
