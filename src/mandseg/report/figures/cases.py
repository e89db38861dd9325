"""Every case: its score at every level as a line, and its difference from the baseline as a point."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import Metric
from mandseg.report.figures.axis import LevelAxis, axis_label
from mandseg.report.figures.source import FigureSource, ReportFigure
from mandseg.report.figures.style import BLUE, FAINT, INK, MARGIN, VERMILION, label_panels, panels
from mandseg.statistics.score_table import paired_differences

DRAWN_CASES = 60  # of a data set; more lines say no more
DRAWN_POINTS = 300  # of a data set and level


def plot_cases(scores: pd.DataFrame, metric: Metric, axis: LevelAxis) -> Figure:
    """A line per case from level to level, mean over seeds; the mean over all cases on top.

    Args:
        scores: ``dataset, level, case_id, score`` (mean over seeds).
        metric: What is drawn.
        axis: The levels.
    """
    datasets = list(scores.dataset.drop_duplicates())
    figure, axes = panels(len(datasets))
    for dataset, ax in zip(datasets, axes, strict=True):
        wide = scores[scores.dataset == dataset].pivot(index="case_id", columns="level", values="score")
        _spaghetti(ax, wide, axis)
        ax.set_title(dataset, fontsize=10.5)
        axis.draw(ax, title=False)
    label_panels(figure, axis.label, axis_label(metric))
    return figure


def _spaghetti(ax: Axes, wide: pd.DataFrame, axis: LevelAxis) -> None:
    levels = [level for level in axis.levels if level in wide]
    places = axis.places(levels)
    shown = wide.iloc[spread(wide[levels[0]].to_numpy(), DRAWN_CASES)]
    falls = shown[levels[-1]] < shown[levels[0]]
    for colour, part in ((BLUE, shown[~falls]), (VERMILION, shown[falls])):
        ax.plot(places, part[levels].to_numpy().T, color=colour, lw=0.8, alpha=0.35)
    ax.plot(places, wide[levels].mean(), color=INK, marker="o", ms=5, lw=2)


def spread(values: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.intp]:
    """Positions of at most ``most`` values, evenly over their order: the smallest and the largest are among them."""
    order = np.argsort(values, kind="stable")
    return order if len(order) <= most else order[np.linspace(0, len(order) - 1, most).round().astype(int)]


def plot_case_differences(
    differences: pd.DataFrame, metric: Metric, axis: LevelAxis, margin: float | None = None
) -> Figure:
    """A point per case and level: the difference from the baseline, averaged over the common seeds.

    Args:
        differences: ``dataset, level, case_id, difference``.
        metric: What is drawn.
        axis: The levels.
        margin: The loss that counts as no loss, drawn as a line.
    """
    datasets = list(differences.dataset.drop_duplicates())
    figure, axes = panels(len(datasets))
    for dataset, ax in zip(datasets, axes, strict=True):
        for level, rows in differences[differences.dataset == dataset].groupby("level", sort=False):
            _strip(ax, rows.difference.to_numpy(float), axis.place(level), axis.gap)
        ax.axhline(0, color=INK, lw=1)
        if margin is not None and metric.better is not None:
            ax.axhline(-margin if metric.better == "higher" else margin, color=MARGIN, lw=1.2, ls=(0, (4, 2.5)))
        ax.set_title(dataset, fontsize=10.5)
        axis.draw(ax, title=False)
    baseline = axis.comparison.name(axis.comparison.baseline)
    unit = f", {metric.unit}" if metric.unit else ""
    label_panels(figure, axis.label, f"{metric.label}: difference from {baseline}{unit}")
    return figure


def _strip(ax: Axes, values: npt.NDArray[np.float64], place: float, gap: float) -> None:
    """Points beside each other, so that none hides the next, and their quartiles."""
    shown = np.sort(values)[spread(np.sort(values), DRAWN_POINTS)]
    sideways = (np.arange(len(shown)) * 0.618034 % 1 - 0.5) * 0.6 * gap
    ax.scatter(place + sideways, shown, s=12, color=FAINT, alpha=0.55, lw=0)
    low, middle, high = np.percentile(values, [25, 50, 75])
    ax.plot([place, place], [low, high], color=BLUE, lw=5, alpha=0.6, solid_capstyle="butt")
    ax.plot([place], [middle], color=BLUE, marker="o", ms=6)


def single_cases(source: FigureSource) -> Iterator[ReportFigure]:
    """Every case of the primary metric: its scores."""
    metric, column = source.primary, source.analysis.comparison.column
    if len(source.axis.levels) < 2 or metric.column not in source.cases:
        return
    grouped = source.cases.groupby(["dataset", column, "case_id"], sort=False)[metric.column]
    scores = grouped.mean().dropna().rename("score").reset_index().rename(columns={column: "level"})
    many = scores.groupby("dataset").case_id.nunique().max() > DRAWN_CASES
    which = f"{DRAWN_CASES} cases of each data set, evenly from worst to best," if many else "every case,"
    caption = (
        f"{metric.label} of {which} mean over seeds; red: lower at the last level than at the first. "
        "Thick: mean over all cases."
    )
    wide = scores.dataset.nunique() > 1
    yield source.draw("cases", lambda: plot_cases(scores, metric, source.axis), caption + source.more, wide)


def case_differences(source: FigureSource) -> Iterator[ReportFigure]:
    """Every case of the primary metric: its differences from the baseline."""
    metric, comparison = source.primary, source.analysis.comparison
    if len(source.axis.levels) < 2 or metric.column not in source.cases:
        return
    pairs = paired_differences(source.cases, metric, comparison).rename(columns={comparison.column: "level"})
    if pairs.empty:
        return
    most = pairs.groupby(["dataset", "level"]).size().max()
    few = f" Of more than {DRAWN_POINTS} cases, {DRAWN_POINTS} are drawn, evenly over their order."
    caption = f"{metric.label}: a point per case, its difference from the baseline; bar: their middle half."
    yield source.draw(
        "case-differences",
        lambda: plot_case_differences(pairs, metric, source.axis, source.margin(metric)),
        caption + (few if most > DRAWN_POINTS else "") + source.more,
        wide=pairs.dataset.nunique() > 1,
    )
