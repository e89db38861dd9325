"""What a prediction says about a label: masks and probabilities on one grid in, a few numbers out.

The scores of the package ``scores`` are functions of these numbers, so that a prediction is read once for all scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch

from mandseg.evaluation.predictor import Probability
from mandseg.metrics.agreement import score
from mandseg.metrics.division import MANDIBLE, Division
from mandseg.metrics.masks import Mask, Spacing, bounding_box, dice
from mandseg.ranking.displacements import displacements_mm
from mandseg.training.losses.band import BAND_MM, band

STEPS = 255  # of a probability

Counts = npt.NDArray[np.int64]  # (2, 256): voxels of the band by label (0, 1), or right and wrong; by 255 steps
PROBABILITIES = np.arange(STEPS + 1) / STEPS


@dataclass(frozen=True, eq=False)
class Evidence:
    """A label against a prediction of networks that do not know the case.

    Args:
        counts: Voxels of the band by label and probability.
        agreement: Scores of the label with the predicted mask as the reference (:mod:`mandseg.metrics.agreement`).
        displacement_mm: Of the label from the prediction, by parts (:mod:`mandseg.ranking.displacements`).
        disagreement: 1 - mean Dice of each two networks; None for one network.
    """

    counts: Counts
    agreement: Mapping[str, float | str]
    displacement_mm: Mapping[str, float | None]
    disagreement: float | None


def measure_evidence(
    label: Mask,
    probability: Probability,
    members: Sequence[Mask],
    spacing_mm: Spacing,
    division: Division = MANDIBLE,
) -> Evidence:
    """Compare a label with a prediction.

    Args:
        label: bool, (X, Y, Z) on RAS+ axes.
        probability: Of the foreground, mean over the networks, on the same grid.
        members: The mask of each network.
        spacing_mm: Voxel edge lengths.
        division: The parts by which displacement is measured.
    """
    found = probability >= 0.5
    near = _near(label | found, spacing_mm)
    label, found, probability = label[near], found[near], probability[near]
    pairs = [dice(one[near], other[near]) for one, other in combinations(members, 2)]
    return Evidence(
        counts_in_band(label, probability, spacing_mm),
        score(label, found, spacing_mm),
        displacements_mm(label, found, spacing_mm, division),
        1 - float(np.mean(pairs)) if pairs else None,
    )


def counts_in_band(label: Mask, probability: Probability, spacing_mm: Spacing) -> Counts:
    """Count the voxels of the band by label and by probability; probabilities are rounded to 255 steps."""
    inside = _in_band(label, probability, spacing_mm)
    step = np.rint(STEPS * probability[inside]).astype(np.int64)
    index = step + (STEPS + 1) * label[inside].astype(np.int64)
    return np.bincount(index, minlength=2 * (STEPS + 1)).reshape(2, STEPS + 1)


def wrong_in_band(label: Mask, reference: Mask, probability: Probability, spacing_mm: Spacing) -> Counts:
    """Count the voxels of the band by whether the label is right (0) or wrong (1), and by how suspicious they are.

    A voxel's score is the probability of the class that the label does not give, rounded to 255 steps.

    Args:
        label: bool, (X, Y, Z) on RAS+ axes.
        reference: The true label, on the same grid.
        probability: Of the foreground, on the same grid.
        spacing_mm: Voxel edge lengths.
    """
    near = _near(label | (probability >= 0.5), spacing_mm)
    label, reference = label[near], reference[near]
    other = np.where(label, 1 - probability[near], probability[near])
    inside = _in_band(label, probability[near], spacing_mm)
    index = np.rint(STEPS * other[inside]).astype(np.int64) + (STEPS + 1) * (label ^ reference)[inside]
    return np.bincount(index, minlength=2 * (STEPS + 1)).reshape(2, STEPS + 1)


def _in_band(label: Mask, probability: Probability, spacing_mm: Spacing) -> Mask:
    drawn, logits = torch.from_numpy(label.astype(np.float32)), torch.from_numpy(probability - np.float32(0.5))
    inside: Mask = band(drawn[None, None], logits[None, None], BAND_MM, spacing_mm)[0, 0].numpy()
    return inside


def _near(mask: Mask, spacing_mm: Spacing) -> tuple[slice, slice, slice]:
    """The window of a mask with room for the band; all where it is empty."""
    box = bounding_box(mask)
    if box is None:
        return slice(None), slice(None), slice(None)
    reach = [int(BAND_MM / s) + 1 for s in spacing_mm]
    x, y, z = (slice(max(b.start - r, 0), b.stop + r) for b, r in zip(box, reach, strict=True))
    return x, y, z
