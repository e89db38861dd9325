"""Gross errors of contours in a busy clinic, at a given rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from mandseg.metrics.masks import connected_pieces
from mandseg.metrics.signed_distance import Field
from mandseg.noise.modes.mode import Mode
from mandseg.noise.modes.scene import Scene
from mandseg.system.errors import UserError

Kind = Literal["piece_missing", "side_missing", "wrong_structure", "empty"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PIECE_MM = (15.0, 30.0)  # radius of a missing piece
BONE_HU = 200.0
APART_MM = 2.0  # another structure lies at least this far from the mandible
UPPER_JAW_MM = 30.0  # the upper jaw lies within this distance
MISPLACED_MM = 12.0  # shift upwards without a CT, which would show another structure


@dataclass(frozen=True)
class GrossError(Mode):
    """A contour has a gross error with a given probability (our own rate), independent of severity.

    Args:
        rate: Share of contours with a gross error.
        kinds: The possible errors, equally likely: a piece missing, one side missing, another structure drawn (the
            upper jaw, or else the largest other bone nearby; without the CT the contour moved upwards), nothing drawn.
    """

    rate: float = 0.05
    kinds: Sequence[Kind] = ("piece_missing", "side_missing", "wrong_structure")

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if unknown := set(self.kinds) - set(KINDS):
            raise UserError(f"gross error {sorted(unknown)[0]!r}: expected {', '.join(KINDS)}")
        if not 0 <= self.rate <= 1:
            raise UserError(f"gross error rate={self.rate}: expected a share, 0 to 1")

    def redraw(self, level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
        """Apply one of the errors with probability ``rate``."""
        chance, kind = rng.random(), str(rng.choice(self.kinds))
        if chance >= self.rate:
            return level_mm
        spoil = {
            "piece_missing": _without_piece,
            "side_missing": _without_side,
            "wrong_structure": _elsewhere,
            "empty": _nothing,
        }
        return np.asarray(spoil[kind](level_mm, scene, rng), np.float32)


def _without_piece(level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
    inside = np.argwhere(scene.mask)
    middle_mm = inside[rng.integers(len(inside))] * np.array(scene.spacing_mm)
    squares = [(axis - m) ** 2 for axis, m in zip(scene.axes_mm(), middle_mm, strict=True)]
    distance_mm = np.sqrt(squares[0] + squares[1] + squares[2])
    return np.asarray(np.maximum(level_mm, rng.uniform(*PIECE_MM) - distance_mm), np.float32)


def _without_side(level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
    from_middle_mm = scene.axes_mm()[0] - scene.landmarks.middle_x_mm
    kept = from_middle_mm if rng.random() < 0.5 else -from_middle_mm
    return np.asarray(np.maximum(level_mm, kept), np.float32)


def _nothing(level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
    return np.full_like(level_mm, np.inf)


def _elsewhere(level_mm: Field, scene: Scene, rng: np.random.Generator) -> Field:
    if scene.hu is not None:
        bone = (scene.hu >= BONE_HU) & (scene.level_mm > APART_MM)
        upper_jaw = bone & scene.region("teeth") & (scene.level_mm <= UPPER_JAW_MM)
        pieces, n_voxels = connected_pieces(upper_jaw if upper_jaw.any() else bone)
        if n_voxels.size:
            largest = 1 + int(np.argmax(n_voxels))
            return np.where(pieces == largest, -1.0, 1.0).astype(np.float32)
    up = min(round(MISPLACED_MM / scene.spacing_mm[2]), level_mm.shape[2] - 1)
    moved = np.full_like(level_mm, float(level_mm.max()))
    moved[:, :, up:] = level_mm[:, :, : level_mm.shape[2] - up]
    return moved
