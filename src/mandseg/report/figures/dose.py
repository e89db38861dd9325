"""The dose error of the predicted contours in Gy at every level: absolute errors above, errors below."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import Metric
from mandseg.metrics.dose.catalogue import Measure
from mandseg.report.figures.axis import LevelAxis
from mandseg.report.figures.source import Drawing
from mandseg.report.figures.style import COLOURS, FAINT, INK, INTERVAL, MARKERS, panels
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Mean, as_table

DRAWN = 4
"""Largest number of data sets, side by side."""


def plot_dose(means: pd.DataFrame, scores: Sequence[Metric], axis: LevelAxis, ax: Axes) -> Axes:
    """The means of some scores of one data set at every level, with their intervals.

    Args:
        means: Rows of :class:`mandseg.statistics.results.Mean` of one data set.
        scores: At most five, in Gy.
        axis: The levels.
        ax: Axes to draw on.
    """
    shifts = (np.arange(len(scores)) - (len(scores) - 1) / 2) * axis.gap / 4
    for score, shift, colour, marker in zip(scores, shifts, COLOURS, MARKERS, strict=False):
        own = means[means.metric == score.column].sort_values("level", key=axis.places)
        places = axis.places(own.level) + shift
        label = score.label.partition(" ")[0]
        style = "-" if axis.comparison.is_dose else "none"
        ax.plot(places, own["mean"], color=colour, marker=marker, ms=5.5, lw=1.4, ls=style, label=label)
        ends = own[["low", "high"]].astype(float).to_numpy()
        ax.vlines(places, ends[:, 0], ends[:, 1], color=colour, lw=1.4, alpha=0.6, gid=INTERVAL)
    axis.draw(ax, title=False)
    return ax


def plot_doses(means: pd.DataFrame, measures: Sequence[Measure], axis: LevelAxis) -> Figure:
    """:func:`plot_dose` of every data set: mean absolute errors in the first row, mean errors in the second.

    Args:
        means: Rows of :class:`mandseg.statistics.results.Mean`, whole data sets.
        measures: Measures in Gy.
        axis: The levels.
    """
    datasets = list(means.dataset.drop_duplicates())
    figure, axes = panels(2 * len(datasets), columns=len(datasets), height=2.7, sharey=False)
    for kind, label in enumerate(("Mean absolute error, Gy", "Mean error, Gy")):
        scores = [measure.error if kind else measure.absolute for measure in measures]
        row = axes[kind * len(datasets) : (kind + 1) * len(datasets)]
        for dataset, ax in zip(datasets, row, strict=True):
            plot_dose(means[means.dataset == dataset], scores, axis, ax)
            if not kind:
                ax.set_title(dataset, fontsize=10.5)
            ax.axhline(0.0, color=FAINT, lw=0.8)
        low, high = min(ax.get_ylim()[0] for ax in row), max(ax.get_ylim()[1] for ax in row)
        for ax in row:
            ax.set_ylim(low, high)
        row[0].set_ylabel(label)
    figure.supxlabel(axis.title, fontsize=10.5, color=INK)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(handles))
    return figure


def dose_drawing(analysis: Analysis, measures: Sequence[Measure], prefix: str) -> Drawing:
    """The figure of an arm."""
    shown = analysis.datasets[:DRAWN]
    table = as_table(analysis.means, Mean, "level")
    means = table[(table.group == "") & table.dataset.isin(shown)]
    in_gray = [measure for measure in measures if measure.unit == "Gy"]
    axis = LevelAxis(analysis.comparison, analysis.levels)
    more = len(analysis.datasets) - len(shown)
    caption = (
        "Error of the dose of the predicted contour against that of the reference under the same plan: mean over cases "
        "with its 95 % interval. Above: without its sign. Below: prediction minus reference."
    )
    caption += f" Only the first {len(shown)} of {len(analysis.datasets)} data sets are drawn." if more > 0 else ""
    return Drawing(f"{prefix}dose", lambda: plot_doses(means, in_gray, axis), caption, wide=len(shown) > 1, tall=True)
