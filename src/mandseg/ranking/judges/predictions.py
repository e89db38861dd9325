"""Predictions of networks that do not know a case, on the prepared grid; kept in the cache for the next call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mandseg.audit.measurement import division_of
from mandseg.data.cache import PreparedCase, prepare_cases
from mandseg.data.case import Case
from mandseg.data.ranked.label import ranked_label
from mandseg.data.resampling import mask_onto
from mandseg.data.volume import Volume, read_volume, to_canonical
from mandseg.evaluation.postprocessing import without_small_pieces
from mandseg.evaluation.prediction.network import TrainedNetwork
from mandseg.evaluation.predictor import Probability
from mandseg.metrics.masks import Mask
from mandseg.ranking.judges.evidence import STEPS, Counts, Evidence, measure_evidence, wrong_in_band
from mandseg.system.errors import UserError
from mandseg.system.files import atomic_write

FOLDER = "out_of_fold"
"""In the cache: one file for each network and prepared case."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction of one case.

    Args:
        prepared: The case with its ranked label as the reference.
        probability: Mean over the networks, (X, Y, Z) on the prepared grid.
        members: The mask of each network.
    """

    prepared: PreparedCase
    probability: Probability
    members: Sequence[Mask]

    @property
    def label(self) -> Mask:
        """The ranked label on the prepared grid."""
        return np.asarray(self.prepared.reference, dtype=np.bool_)

    def evidence(self, label: Mask | None = None) -> Evidence:
        """What the prediction says about the ranked label, or about another one on the prepared grid."""
        drawn = self.label if label is None else label
        parts = division_of(self.prepared.case)
        return measure_evidence(drawn, self.probability, self.members, self.prepared.grid.spacing_mm, parts)

    def wrong_voxels(self, reference: Path) -> Counts:
        """The voxels of the band by whether the ranked label differs from a reference, and by their score.

        Args:
            reference: The file of the true label, on the grid of the CT.
        """
        true = to_canonical(read_volume(reference))
        mask = mask_onto(Volume(true.array != 0, true.affine), self.prepared.grid)
        return wrong_in_band(self.label, mask, self.probability, self.prepared.grid.spacing_mm)


def prepare_ranked(
    cases: Sequence[Case], network: TrainedNetwork, cache: Path, workers: int | None
) -> list[PreparedCase]:
    """The cases with their ranked labels on the grid of a network.

    Raises:
        UserError: Cases have no CT, or cannot be used; one line each.
    """
    if without := [case for case in cases if case.image is None]:
        raise UserError(
            [f"case {case.case_id}: column image is empty, and a prediction needs the CT" for case in without]
        )
    labelled = [replace(case, split="", reference=ranked_label(case), noisy=None) for case in cases]
    return prepare_cases(labelled, network.predictor.preprocessing, cache / "cases", None, workers)


def predict(prepared: PreparedCase, networks: Sequence[TrainedNetwork], cache: Path) -> Prediction:
    """Predict a case with networks that do not know it, or read what was predicted before."""
    each = [_probability(prepared, network, cache) for network in networks]
    each = [without_islands(p, network.smallest_piece) for p, network in zip(each, networks, strict=True)]
    members = [probability >= 0.5 for probability in each]
    return Prediction(prepared, np.mean(each, axis=0, dtype=np.float32), members if len(each) > 1 else [])


def without_islands(probability: Probability, smallest_piece: float) -> Probability:
    """Probabilities with 0 in the pieces that a prediction drops because they are small; a copy."""
    found = probability >= 0.5
    return np.where(found & ~without_small_pieces(found, smallest_piece), np.float32(0), probability)


def _probability(prepared: PreparedCase, network: TrainedNetwork, cache: Path) -> Probability:
    """Rounded to 255 steps, whether it is new or was kept."""
    file = cache / FOLDER / f"{network.digest}-{prepared.folder.name}.npz"
    try:
        with np.load(file) as stored:
            steps = stored["steps"]
    except (OSError, ValueError, KeyError, EOFError):
        steps = np.rint(STEPS * network.predictor.of_case(prepared)).astype(np.uint8)
        with atomic_write(file) as opened:
            np.savez_compressed(opened, steps=steps)
    return np.asarray(steps / np.float32(STEPS), dtype=np.float32)
