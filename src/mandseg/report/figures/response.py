"""Dose-response: the monotone fit of the loss over the noise ratio, and where it crosses the margin."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import Metric
from mandseg.report.figures.axis import LevelAxis
from mandseg.report.figures.source import Drawing, FigureSource
from mandseg.report.figures.style import BLUE, FAINT, INK, MARGIN, VERMILION, label_panels, panels
from mandseg.statistics.results import Crossing, as_table, curve_table


def plot_response(curves: pd.DataFrame, crossings: pd.DataFrame, metric: Metric, axis: LevelAxis) -> Figure:
    """The fitted difference from ratio 0 with its interval, the margin, and the crossing with its interval as a bar.

    Args:
        curves: ``dataset, noise_ratio, difference, low, high`` of one metric, whole data sets.
        crossings: Rows of :class:`mandseg.statistics.results.Crossing` of the same.
        metric: The metric.
        axis: The noise ratios.
    """
    datasets = list(curves.dataset.drop_duplicates())
    figure, axes = panels(len(datasets), height=2.7)
    for dataset, ax in zip(datasets, axes, strict=True):
        none = pd.DataFrame({"noise_ratio": [0.0], "difference": [0.0], "low": [0.0], "high": [0.0]})
        fit = pd.concat([none, curves[curves.dataset == dataset][none.columns].astype(float)]).sort_values(
            "noise_ratio"
        )
        ax.fill_between(fit.noise_ratio, fit.low, fit.high, color=BLUE, alpha=0.18, lw=0)
        ax.plot(fit.noise_ratio, fit.difference, color=BLUE, marker="o", ms=4.5, lw=1.6)
        ax.axhline(0, color=INK, lw=1)
        for row in crossings[crossings.dataset == dataset].to_dict("records"):
            edge = -row["margin"] if metric.better == "higher" else row["margin"]
            ax.axhline(edge, color=MARGIN, lw=1.2, ls=(0, (4, 2.5)))
            if pd.notna(row["low"]):
                end = row["high"] if pd.notna(row["high"]) else row["largest"] * 1.07
                ax.plot([row["low"], end], [edge, edge], color=VERMILION, lw=4.5, alpha=0.6, solid_capstyle="butt")
            if pd.notna(row["crossing"]):
                ax.plot([row["crossing"]], [edge], color=VERMILION, marker="D", ms=6, mec=FAINT)
        ax.set_title(dataset, fontsize=10.5)
        axis.draw(ax, title=False)
    unit = f", {metric.unit}" if metric.unit else ""
    label_panels(figure, axis.label, f"{metric.label}: fitted difference{unit}")
    return figure


def response(source: FigureSource) -> Iterator[Drawing]:
    """The monotone fit of the loss in the primary metric."""
    metric, shown = source.primary, set(source.means.dataset)
    crossings = [row for row in source.analysis.crossings if row.metric == metric.column and not row.group]
    crossings = [row for row in crossings if row.dataset in shown]
    if not crossings:
        return
    caption = (
        f"{metric.label}: monotone fit of the difference from ratio 0 with 95 % interval. Diamond: the "
        "ratio at which the fit reaches the margin. Bar: the interval of this ratio; it has no upper end if the bar "
        "reaches the edge."
    )
    tables = curve_table(crossings), as_table(crossings, Crossing)
    yield source.draw("response", lambda: plot_response(*tables, metric, source.axis), caption, wide=len(crossings) > 1)
