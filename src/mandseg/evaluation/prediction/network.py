"""A trained network with what belongs to it: preprocessing, structure and the range of its training."""

from collections.abc import Sequence
from dataclasses import dataclass

from mandseg.evaluation.prediction.training_summary import TrainingSummary
from mandseg.evaluation.predictor import Predictor
from mandseg.system.errors import UserError


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that can predict.

    Args:
        name: The run's name.
        predictor: The network with its preprocessing.
        structure: What it segments, e.g. ``Mandible``.
        smallest_piece: Connected pieces below this share of the largest one are removed, in [0, 1].
        training: The range of its training labels; None if an earlier version trained it.
        digest: Of its checkpoint file.
    """

    name: str
    predictor: Predictor
    structure: str
    smallest_piece: float
    training: TrainingSummary | None
    digest: str


def refuse_different(networks: Sequence[TrainedNetwork]) -> None:
    """Refuse networks whose predictions have no mean.

    Raises:
        UserError: There are none, or two differ in structure, preprocessing or HU window; one line with both values.
    """
    if not networks:
        raise UserError("a prediction with no network: expected one or more")
    first = networks[0]
    for other in networks[1:]:
        for what, one, two in (
            ("structure", first.structure, other.structure),
            ("smallest_piece", first.smallest_piece, other.smallest_piece),
            ("preprocessing", first.predictor.preprocessing, other.predictor.preprocessing),
            ("hu_window", first.predictor.window, other.predictor.window),
        ):
            if one != two:
                raise UserError(f"{other.name}: {what} {two} differs from {one} of {first.name}; they have no mean")
