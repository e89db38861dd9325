"""The data for the figures of one arm, and a figure of the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import Metric, metric_named
from mandseg.report.figures.axis import LevelAxis
from mandseg.report.figures.style import drawing_style, save
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Difference, Mean, as_table
from mandseg.statistics.score_table import means_by_seed

DRAWN_DATASETS = 12
"""Largest number of panels of a figure. The tables contain all data sets."""


@dataclass(frozen=True)
class Drawing:
    """A figure that is still to be drawn.

    Attributes:
        name: Name of its files.
        plot: Draws it.
        caption: The caption.
        wide: The figure has several panels.
        tall: The page does not limit its height.
    """

    name: str
    plot: Callable[[], Figure | Axes]
    caption: str
    wide: bool = False
    tall: bool = False


@dataclass(frozen=True)
class ReportFigure:
    """A figure of a page.

    Attributes:
        name: Name of its files.
        svg: The figure for the page.
        caption: The caption.
        wide: The figure has several panels.
        tall: The page does not limit its height.
    """

    name: str
    svg: Markup
    caption: str
    wide: bool = False
    tall: bool = False


class FigureSource:
    """The numbers for the figures of one arm.

    Args:
        analysis: The analysis of the arm.
        cases: The rows of the arm.
        applied: The noise of its training cases.
        curves: Its learning curves: ``level, seed, step`` and the logged columns.
        prefix: Prefix of the file names.
    """

    def __init__(
        self,
        analysis: Analysis,
        cases: pd.DataFrame,
        applied: pd.DataFrame,
        curves: pd.DataFrame,
        prefix: str,
    ) -> None:
        self.analysis, self.applied, self.curves = analysis, applied, curves
        self._prefix = prefix
        shown = analysis.datasets[:DRAWN_DATASETS]
        self.cases = cases if len(shown) == len(analysis.datasets) else cases[cases.dataset.isin(shown)]
        self.axis = LevelAxis(analysis.comparison, analysis.levels)
        self.primary = metric_named(analysis.primary)
        self.means = _ungrouped(as_table(analysis.means, Mean, "level"), shown)
        self.differences = _ungrouped(as_table(analysis.differences, Difference, "level"), shown)
        more = len(analysis.datasets) - len(shown)
        self.more = f" Only the first {len(shown)} of {len(analysis.datasets)} data sets are drawn." if more > 0 else ""

    def margin(self, metric: Metric) -> float | None:
        """The largest tolerated loss."""
        return self.analysis.margins.of(metric)

    def by_seed(self, metric: Metric) -> pd.DataFrame:
        """``dataset, level, seed, mean`` of every training."""
        column = self.analysis.comparison.column
        return means_by_seed(self.cases, metric, column).rename(columns={column: "level"})

    def draw(
        self, name: str, plot: Callable[[], Figure | Axes], caption: str, wide: bool = False, tall: bool = False
    ) -> Drawing:
        """A figure of this arm."""
        return Drawing(f"{self._prefix}{name}", plot, caption, wide, tall)


def draw(drawing: Drawing, folder: Path, further: Sequence[str] = ()) -> ReportFigure:
    """Draw a figure in the common style and save its files in a folder: as SVG, and as the further file types."""
    with drawing_style(drawing.name):
        drawn: Any = drawing.plot()
        figure = drawn if isinstance(drawn, Figure) else drawn.figure
        svg = save(figure, folder / drawing.name, further)
    return ReportFigure(drawing.name, Markup(svg), drawing.caption, drawing.wide, drawing.tall)


def _ungrouped(table: pd.DataFrame, datasets: list[str]) -> pd.DataFrame:
    """The rows of whole data sets."""
    return table[(table.group == "") & table.dataset.isin(datasets)]
