"""The axis of what is compared: the noise ratio from 0 on, or names side by side; and the axis of a metric."""

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

LEAST_GAP = 0.07  # of the axis, between two labels
LONG_NAMES = 14  # letters of all names of one axis that fit side by side, per level


@dataclass(frozen=True)
class LevelAxis:
    """Where each level stands on the x axis.

    Args:
        comparison: What is compared.
        levels: The levels, the baseline first.
    """

    comparison: Comparison
    levels: Sequence[Level]

    @property
    def label(self) -> str:
        """What the axis is called."""
        return "Noise ratio" if self.comparison.is_dose else self.comparison.column.capitalize()

    @property
    def title(self) -> str:
        """What the axis is called below it."""
        return f"{self.label} (share of noisy training labels)" if self.comparison.is_dose else self.label

    @property
    def top(self) -> float:
        """The largest place."""
        return max([self.place(level) for level in self.levels], default=0.0) or 1.0

    def place(self, level: Level) -> float:
        """Where a level stands: at its ratio, or at its number."""
        return float(level) if self.comparison.is_dose else float(list(self.levels).index(level))

    def places(self, levels: Iterable[Any]) -> npt.NDArray[np.float64]:
        """Where levels stand."""
        return np.array([self.place(level) for level in levels])

    def name(self, level: Level) -> str:
        """What a level is called on the axis."""
        return level_name(level)

    @property
    def gap(self) -> float:
        """The smallest distance of two levels, at most a tenth of the axis."""
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
