"""The doses of a predicted contour and of its reference, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mandseg.metrics.dose.catalogue import ERROR, PREDICTION, REFERENCE, Measure
from mandseg.metrics.dose.histogram import Histogram

if TYPE_CHECKING:
    from mandseg.metrics.mask_pair import MaskPair


@dataclass(frozen=True, eq=False)
class DosePair:
    """The histograms of both contours under one dose.

    An empty contour has no dose; its measures count as 0. So the error of a missed contour is minus the dose of the
    reference, and no case is dropped from a mean.
    """

    prediction: Histogram
    reference: Histogram


def dose_scores(pair: "MaskPair", found: Sequence[Measure]) -> dict[str, float]:
    """The measures of both contours and their errors, by column.

    Args:
        pair: Two masks with their doses.
        found: The measures.

    Raises:
        ValueError: The pair has no dose.
    """
    if pair.dose is None:
        raise ValueError("a pair of masks without a dose has no dose scores")
    return {
        column: value
        for measure in found
        for column, value in (
            (measure.name + REFERENCE, measure.of(pair.dose.reference)),
            (measure.name + PREDICTION, measure.of(pair.dose.prediction)),
            (measure.name + ERROR, measure.error.measure(pair)),
        )
    }
