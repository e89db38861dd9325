"""Figures of an audit: each is ``f(table, ..., ax=None) -> ax``, drawn inside ``drawing_style()``."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mandseg.audit.tables import bias_column, regions_of
from mandseg.metrics.surfaces import Floats
from mandseg.report.figures import COLOURS, FAINT, INK
from mandseg.report.wording import number

DIVERGING = "RdBu_r"  # outward red, inward blue; distinguishable with any colour vision
LARGEST_MM = 4.0  # end of the colour scale of displacements, in every figure and picture
ROW_INCHES = 0.32
ON_DARK, ON_LIGHT = "#fdfdfd", "#101114"  # text on a cell, in both themes of the page


def plot_annotators(cases: pd.DataFrame, annotators: pd.DataFrame) -> Figure:
    """:func:`plot_spread` of Dice and of signed bias side by side, annotators in the same order.

    Args:
        cases: From ``cases_table``.
        annotators: From ``annotators_table``; their order is kept.
    """
    names = list(annotators.annotator)
    figure = Figure(figsize=(9.6, 1.3 + ROW_INCHES * len(names)))
    left, right = figure.subplots(1, 2, sharey=True)
    plot_spread(cases, "dice", "Dice to the reference", names, left)
    plot_spread(cases, "bias_mm", "Mean signed displacement (mm)\ninward < 0 < outward", names, right)
    right.axvline(0, color=INK, lw=1, zorder=1)
    return figure


def plot_spread(
    cases: pd.DataFrame, column: str, label: str, annotators: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Every case of each annotator as a point, quartiles as a box, the median as a line.

    Args:
        cases: ``annotator`` and the column; cases without a value are not drawn.
        column: The column for the x axis.
        label: Label of the x axis.
        annotators: The annotators from top to bottom.
        ax: Axes to draw on.
    """
    ax = ax or Figure(figsize=(5, 1.3 + ROW_INCHES * len(annotators))).add_subplot()
    for row, name in enumerate(annotators):
        values = cases.loc[cases.annotator == name, column].dropna().to_numpy(float)
        if not len(values):
            continue
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        ax.barh(row, high - low, left=low, height=0.62, color=COLOURS[0], alpha=0.18, lw=0)
        ax.plot([middle, middle], [row - 0.31, row + 0.31], color=COLOURS[0], lw=2, solid_capstyle="butt")
        beside = row + 0.2 * _spread_out(len(values))
        ax.scatter(np.sort(values), beside, s=13, color=COLOURS[0], alpha=0.75, lw=0, zorder=3)
    ax.use_sticky_edges = False  # leaves room beside the outermost points
    ax.set_yticks(range(len(annotators)), list(annotators))
    ax.set_ylim(len(annotators) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.set_xlabel(label)
    return ax


def plot_regions(annotators: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean signed displacement of each region by each annotator as a heat map with its numbers.

    Args:
        annotators: From ``annotators_table``.
        ax: Axes to draw on.
    """
    regions = regions_of(annotators)
    columns = ["bias_mm", *map(bias_column, regions)]
    values = annotators[columns].to_numpy(float)  # (annotators, 1 + regions)
    ax = ax or Figure(figsize=(8.2, 1.1 + ROW_INCHES * len(values))).add_subplot()
    norm, colours = Normalize(-LARGEST_MM, LARGEST_MM), mpl.colormaps[DIVERGING]
    shown = ax.pcolormesh(values, cmap=colours, norm=norm, edgecolors=FAINT, linewidth=0.4)
    for (row, column), value in np.ndenumerate(values):
        shade = colours(norm(value))[:3] if np.isfinite(value) else (1, 1, 1)
        text = number(float(value), 1, True) if np.isfinite(value) else "–"
        colour = ON_DARK if np.dot(shade, (0.299, 0.587, 0.114)) < 0.5 else ON_LIGHT
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9, color=colour)
    ax.axvline(1, color=INK, lw=2)
    ax.set_xticks(np.arange(len(columns)) + 0.5, ["all", *regions])
    ax.set_yticks(np.arange(len(values)) + 0.5, list(annotators.annotator))
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.invert_yaxis()
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ticks = (-LARGEST_MM, -LARGEST_MM / 2, 0, LARGEST_MM / 2, LARGEST_MM)
    bar = ax.figure.colorbar(shown, ax=ax, extend="both", pad=0.02, aspect=30, label="mm", ticks=ticks)
    bar.outline.set_visible(False)
    return ax


def _spread_out(n: int) -> Floats:
    """Offsets from -1 to 1 for n points in a row, with neighbours far apart; equal in every run."""
    return np.asarray(2 * ((np.arange(n) * 0.618034 + 0.5) % 1) - 1, dtype=np.float64)
