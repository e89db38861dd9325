"""The axis of the levels: noise ratios to scale, or names side by side; and the label of a metric."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mandseg.metrics.catalogue import Metric
from mandseg.report.wording import level_name
from mandseg.statistics.comparison import Comparison, Level

LEAST_GAP = 0.07  # smallest distance between two labels, as a share of the axis
LONG_NAMES = 14  # longer names, in letters, are tilted


@dataclass(frozen=True)
class LevelAxis:
    """The position of each level on the x axis.

    Args:
        comparison: The comparison.
        levels: The levels, the baseline first.
    """

    comparison: Comparison
    levels: Sequence[Level]

    @property
    def label(self) -> str:
        """Short name of the axis."""
        return self.comparison.label

    @property
    def title(self) -> str:
        """Name of the axis below a figure."""
        return f"{self.label} (share of noisy training labels)" if self.comparison.is_dose else self.label

    @property
    def in_order(self) -> list[Level]:
        """The levels from left to right."""
        return sorted(self.levels, key=self.place)

    @property
    def top(self) -> float:
        """The largest position."""
        return max([self.place(level) for level in self.levels], default=0.0) or 1.0

    def place(self, level: Level) -> float:
        """Position of a level: its ratio, or its number in the order."""
        return float(level) if self.comparison.is_dose else float(list(self.levels).index(level))

    def places(self, levels: Iterable[Any]) -> npt.NDArray[np.float64]:
        """Positions of levels."""
        return np.array([self.place(level) for level in levels])

    def name(self, level: Level) -> str:
        """Name of a level on the axis."""
        return level_name(level)

    @property
    def gap(self) -> float:
        """The smallest distance between two levels, at most a tenth of the axis."""
        places = np.unique(self.places(self.levels))
        least = float(np.diff(places).min()) if len(places) > 1 else self.top
        return min(least, 0.1 * self.top) if self.comparison.is_dose else least / 3

    def draw(self, ax: Axes, title: bool = True) -> None:
        """Limits, a tick at each level that has room for its name, and the title."""
        room = 0.07 * self.top if self.comparison.is_dose else 0.5
        ax.set_xlim(-room, self.top + room)
        shown: list[Level] = []
        for level in sorted({*self.levels, *([0.0] if self.comparison.is_dose else [])}, key=self.place):
            if not shown or self.place(level) - self.place(shown[-1]) > LEAST_GAP * self.top:
                shown.append(level)
        long = not self.comparison.is_dose and max(len(self.name(level)) for level in shown) > LONG_NAMES
        tilt: dict[str, Any] = {"rotation": 20, "ha": "right"} if long else {}
        ax.set_xticks([self.place(level) for level in shown], [self.name(level) for level in shown], **tilt)
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6))
        if title:
            ax.set_xlabel(self.title)


def axis_label(metric: Metric) -> str:
    """Name, unit and direction of a metric."""
    arrow = {"higher": "(higher is better)", "lower": "(lower is better)", None: "(prediction minus reference)"}
    return f"{metric.label}{f', {metric.unit}' if metric.unit else ''} {arrow[metric.better]}"
