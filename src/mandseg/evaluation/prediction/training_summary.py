"""What the labels of a training were like: the range in which a network has seen its structure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TrainingSummary:
    """The number of training cases, and the least and largest value over their labels.

    Args:
        n_cases: Training cases with a label that is not empty.
        volume_ml: Of a label.
        median_hu: Of the CT inside a label.
    """

    n_cases: int
    volume_ml: tuple[float, float]
    median_hu: tuple[float, float]

    def as_plain(self) -> dict[str, Any]:
        """Numbers and lists, for a checkpoint."""
        return {"n_cases": self.n_cases, "volume_ml": list(self.volume_ml), "median_hu": list(self.median_hu)}


def summary_from(plain: Mapping[str, Any]) -> TrainingSummary:
    """The summary that ``as_plain`` wrote.

    Raises:
        KeyError, TypeError, ValueError: It is no summary.
    """
    (least_ml, most_ml), (least_hu, most_hu) = plain["volume_ml"], plain["median_hu"]
    volume_ml, median_hu = (float(least_ml), float(most_ml)), (float(least_hu), float(most_hu))
    return TrainingSummary(int(plain["n_cases"]), volume_ml, median_hu)
