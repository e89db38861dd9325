"""Figures of how far a prediction can be trusted, and the flag that requests a review.

The figures are measured on the network's grid, where the training labels were measured, too. Only the volume and the
pieces are those of the mask that is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations

import numpy as np
import numpy.typing as npt
import yaml

from mandseg.data.structure import is_same_structure
from mandseg.data.volume import Hu, Volume, to_canonical
from mandseg.evaluation.prediction.training_summary import TrainingSummary
from mandseg.evaluation.predictor import Probability
from mandseg.metrics.masks import Mask, bounding_box, connected_pieces, dice
from mandseg.metrics.posture import posture, posture_doubts
from mandseg.system.wording import count

THRESHOLDS_FILE = "quality.yaml"
OK, REVIEW = "ok", "review"


@dataclass(frozen=True)
class Quality:
    """What was measured of a prediction.

    Args:
        volume_ml: Of the mask.
        pieces: Connected pieces of the mask (26 neighbours).
        islands: Pieces on the network's grid that are removed because they are small.
        confidence: Soft Dice of the probabilities with their own mask, 2 sum(p y) / sum(p + y), in [0, 1]; 0 if empty.
        disagreement: 1 - mean Dice of each two networks of an ensemble, in [0, 1]; None for one network.
        median_hu: Of the CT inside the mask; None if empty.
        edges: Sides of the image that the mask touches, e.g. ``inferior``.
        rise_mm: How far the back third of the mask lies above its front third; None if empty.
        spread_mm: How much wider the back third is than the front third (standard deviation); None if empty.
    """

    volume_ml: float
    pieces: int
    islands: int
    confidence: float
    disagreement: float | None
    median_hu: float | None
    edges: tuple[str, ...]
    rise_mm: float | None
    spread_mm: float | None


@dataclass(frozen=True)
class Thresholds:
    """Where the flag is raised (quality.yaml).

    Args:
        least_confidence: Below it a prediction is to be reviewed.
        most_disagreement: Above it.
        most_pieces: Above it.
        volume_margin: Volumes may lie outside the range of the training labels by this share.
        hu_margin: Median HU may lie outside the range of the training labels by so many HU.
        upright: Structures whose back lies higher than their front and is wider, as of a mandible.
    """

    least_confidence: float
    most_disagreement: float
    most_pieces: int
    volume_margin: float
    hu_margin: float
    upright: tuple[str, ...]


@cache
def thresholds() -> Thresholds:
    """The thresholds of the package."""
    settings: Mapping[str, object] = yaml.safe_load(files(__package__).joinpath(THRESHOLDS_FILE).read_text("utf-8"))
    return Thresholds(**{**settings, "upright": tuple(settings["upright"])})  # type: ignore[arg-type]


def measure_quality(
    mask: Volume, probability: Volume, members: Sequence[Mask], image_hu: Hu, smallest_piece: float
) -> Quality:
    """Measure a prediction.

    Args:
        mask: The mask that is written, bool, on the image's grid.
        probability: The mean over the networks, (X, Y, Z), on the network's grid, RAS+ axes.
        members: The mask of each network on that grid; none or one for a single network.
        image_hu: The CT on that grid.
        smallest_piece: Pieces below this share of the largest one were removed.
    """
    values = np.asarray(probability.array, dtype=np.float32)
    found = values >= 0.5
    native = np.asarray(mask.array, dtype=np.bool_)
    pieces = piece_sizes(found)
    upright = to_canonical(mask)
    rise_mm, spread_mm = posture(np.asarray(upright.array, dtype=np.bool_), upright.geometry.spacing_mm)
    return Quality(
        volume_ml=float(np.count_nonzero(native) * mask.geometry.voxel_ml),
        pieces=len(piece_sizes(native)),
        islands=int(np.count_nonzero(pieces < smallest_piece * pieces.max(initial=0))),
        confidence=confidence(values, found),
        disagreement=disagreement(members) if len(members) > 1 else None,
        median_hu=float(np.median(image_hu[found])) if found.any() else None,
        edges=touched_edges(mask),
        rise_mm=rise_mm,
        spread_mm=spread_mm,
    )


def reasons(
    quality: Quality, structure: str, training: TrainingSummary | None, limits: Thresholds | None = None
) -> list[str]:
    """Why a person should look at a prediction, one phrase each with both values; none if it looks as usual.

    Args:
        quality: What was measured.
        structure: What was segmented, as the run's config names it.
        training: Volumes in ml and median HU of the training labels; None if they are not known.
        limits: The thresholds; by default those of the package.
    """
    limits = limits or thresholds()
    if quality.volume_ml == 0:
        return ["nothing was found"]
    found = []
    if quality.confidence < limits.least_confidence:
        found.append(f"confidence {quality.confidence:.2f}, expected at least {limits.least_confidence:g}")
    if quality.disagreement is not None and quality.disagreement > limits.most_disagreement:
        found.append(
            f"the networks disagree by {quality.disagreement:.2f}, expected at most {limits.most_disagreement:g}"
        )
    if quality.pieces > limits.most_pieces:
        found.append(f"{count(quality.pieces, 'piece')}, expected at most {limits.most_pieces}")
    if quality.edges:
        found.append(f"touches the image's {' and '.join(quality.edges)} edge")
    found += _outside_training(quality, training, limits)
    is_upright = any(is_same_structure(name, structure) for name in limits.upright)
    return found + (posture_doubts(quality.rise_mm, quality.spread_mm) if is_upright else [])


def _outside_training(quality: Quality, training: TrainingSummary | None, limits: Thresholds) -> list[str]:
    found = []
    if training is not None:
        low, high = training.volume_ml
        if not low * (1 - limits.volume_margin) <= quality.volume_ml <= high * (1 + limits.volume_margin):
            found.append(f"volume {quality.volume_ml:.1f} ml, {low:.1f} to {high:.1f} in training")
        low, high = training.median_hu
        hu = quality.median_hu
        if hu is not None and not low - limits.hu_margin <= hu <= high + limits.hu_margin:
            found.append(f"median {hu:.0f} HU, {low:.0f} to {high:.0f} in training")
    return found


def confidence(probability: Probability, mask: Mask) -> float:
    """Soft Dice of probabilities with their own mask: 1 if all are 0 or 1, lower the more lie between; 0 if empty.

    Args:
        probability: (X, Y, Z), float32 in [0, 1].
        mask: (X, Y, Z), where it is 0.5 or more.
    """
    total = float(probability.sum(dtype=np.float64)) + np.count_nonzero(mask)
    inside = float(probability[mask].sum(dtype=np.float64))
    return 2 * inside / total if inside else 0.0


def disagreement(members: Sequence[Mask]) -> float:
    """1 - the mean Dice over all pairs of masks, in [0, 1].

    Args:
        members: Two masks or more, (X, Y, Z) each.
    """
    return 1 - float(np.mean([dice(one, two) for one, two in combinations(members, 2)]))


def piece_sizes(mask: Mask) -> npt.NDArray[np.integer]:
    """The voxels of each connected piece (26 neighbours), (N,)."""
    box = bounding_box(mask)
    return np.empty(0, np.int64) if box is None else connected_pieces(mask[box], by_corners=True)[1]


def touched_edges(mask: Volume) -> tuple[str, ...]:
    """The sides of the image that a mask, bool (X, Y, Z), touches, by their names in the patient; none if empty."""
    canonical = to_canonical(mask).array
    names = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))
    box = bounding_box(np.asarray(canonical, dtype=np.bool_))
    if box is None:
        return ()
    return tuple(
        name
        for pair, extent, size in zip(names, box, canonical.shape, strict=True)
        for name, touches in zip(pair, (extent.start == 0, extent.stop == size), strict=True)
        if touches
    )
