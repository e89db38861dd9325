"""An analysis -> its figures, drawn, saved and captioned."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import METRICS, Metric, metric_named
from mandseg.report import figures
from mandseg.report.figures import LevelAxis
from mandseg.report.figures.cases import DRAWN_CASES, DRAWN_POINTS
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.per_case import means_by_seed, paired_differences
from mandseg.statistics.results import Crossing, Difference, Mean, as_table, curve_table

DRAWN_DATASETS = 12
"""Panels of a figure; data sets beyond them are in the tables."""
CURVES = {"train_loss": "Training loss", "val_dice": "Validation Dice"}


@dataclass(frozen=True)
class Drawing:
    """One figure of the page: the name of its file, its SVG, what it shows; ``wide``: it has several panels."""

    name: str
    svg: Markup
    caption: str
    wide: bool = False


class Drawings:
    """Draws the figures of one arm into a folder.

    Args:
        analysis: What was found.
        cases: Its rows.
        folder: Where the files go.
        prefix: Of the files' names.
    """

    def __init__(self, analysis: Analysis, cases: pd.DataFrame, folder: Path, prefix: str) -> None:
        self.analysis, self.folder, self.prefix = analysis, folder, prefix
        shown = analysis.datasets[:DRAWN_DATASETS]
        self.cases = cases if len(shown) == len(analysis.datasets) else cases[cases.dataset.isin(shown)]
        self.axis = LevelAxis(analysis.comparison, analysis.levels)
        self.primary = metric_named(analysis.primary)
        self.means = self._whole(as_table(analysis.means, Mean, "level"), shown)
        self.differences = self._whole(as_table(analysis.differences, Difference, "level"), shown)
        more = len(analysis.datasets) - len(shown)
        self.more = f" The first {len(shown)} data sets of {len(analysis.datasets)} are drawn." if more > 0 else ""

    @staticmethod
    def _whole(table: pd.DataFrame, datasets: list[str]) -> pd.DataFrame:
        return table[(table.group == "") & table.dataset.isin(datasets)]

    def curve(self, metric: Metric) -> Drawing | None:
        """The mean of a metric at every level."""
        means, differences = (table[table.metric == metric.column] for table in (self.means, self.differences))
        if means.empty:
            return None
        margin = self.analysis.margins.of(metric)
        by_seed = self._by_seed(metric)
        caption = f"{metric.label}: mean over cases. Thin bar: 95 % interval of the mean; points beside it: trainings."
        if differences.difference.notna().any():
            against = self.analysis.comparison.name(self.analysis.comparison.baseline)
            caption += f" Thick bar: 95 % interval of the paired difference from {against}"
            caption += ", which decides the verdict against the green band." if margin is not None else "."
        return self._draw(
            f"curve-{metric.column}",
            lambda: figures.plot_curves(means, differences, metric, self.axis, margin, by_seed),
            caption + self.more,
            wide=means.dataset.nunique() > 1,
        )

    def forest(self, metric: Metric) -> Drawing | None:
        """The differences of a metric, a row each, groups of cases among them."""
        table = as_table(self.analysis.differences, Difference, "level")
        rows = table[(table.metric == metric.column) & table.difference.notna()]
        if rows.empty:
            return None
        more = f" The first {figures.FOREST_ROWS} of {len(rows)} rows." if len(rows) > figures.FOREST_ROWS else ""
        caption = f"{metric.label}: paired difference from the baseline with 95 % interval; shaded: beyond the margin."
        margin = self.analysis.margins.of(metric)
        return self._draw(
            f"forest-{metric.column}",
            lambda: figures.plot_forest(rows, metric, self.axis, margin),
            caption + more,
            wide=True,
        )

    def response(self) -> Drawing | None:
        """The monotone fit of the primary metric's loss."""
        crossings = [row for row in self.analysis.crossings if row.metric == self.primary.column and not row.group]
        crossings = [row for row in crossings if row.dataset in set(self.means.dataset)]
        if not crossings:
            return None
        caption = (
            f"{self.primary.label}: monotone fit of the difference from ratio 0 with 95 % interval. Diamond and bar: "
            "where it meets the margin, with the interval of that ratio; a bar that reaches the edge has no upper end."
        )
        tables = curve_table(crossings), as_table(crossings, Crossing)
        return self._draw(
            "response",
            lambda: figures.plot_response(*tables, self.primary, self.axis),
            caption,
            wide=len(crossings) > 1,
        )

    def single_cases(self) -> Iterator[Drawing]:
        """Every case of the primary metric: its scores and its differences; and every training."""
        metric, column = self.primary, self.analysis.comparison.column
        if len(self.axis.levels) < 2 or metric.column not in self.cases:
            return
        grouped = self.cases.groupby(["dataset", column, "case_id"], sort=False)[metric.column]
        scores = grouped.mean().dropna().rename("score").reset_index().rename(columns={column: "level"})
        many = scores.groupby("dataset").case_id.nunique().max() > DRAWN_CASES
        which = f"{DRAWN_CASES} cases of each data set, evenly from worst to best," if many else "every case,"
        caption = (
            f"{metric.label} of {which} mean over seeds; red: lower at the last level than at the first. "
            "Thick: mean over all cases."
        )
        yield self._draw(
            "cases", lambda: figures.plot_cases(scores, metric, self.axis), caption + self.more, self._is_wide(scores)
        )
        pairs = paired_differences(self.cases, metric, self.analysis.comparison).rename(columns={column: "level"})
        if len(pairs):
            few = f" Of more than {DRAWN_POINTS} cases, {DRAWN_POINTS} are drawn, evenly over their order."
            most = pairs.groupby(["dataset", "level"]).size().max()
            caption = f"{metric.label}: a point per case, its difference from the baseline; bar: their middle half."
            margin = self.analysis.margins.of(metric)
            yield self._draw(
                "case-differences",
                lambda: figures.plot_case_differences(pairs, metric, self.axis, margin),
                caption + (few if most > DRAWN_POINTS else "") + self.more,
                self._is_wide(pairs),
            )

    def seeds(self) -> Drawing | None:
        """Every single training of the primary metric."""
        by_seed = self._by_seed(self.primary)
        if by_seed.seed.nunique() < 2:
            return None
        caption = f"{self.primary.label}: a line per seed (number at its end), mean over cases; black: mean over seeds."
        return self._draw(
            "seeds",
            lambda: figures.plot_seeds(by_seed, self.primary, self.axis),
            caption + self.more,
            self._is_wide(by_seed),
        )

    def learning(self, curves: pd.DataFrame) -> Iterator[Drawing]:
        """Learning curves; ``curves`` holds ``level, seed, step`` and what was logged."""
        for column, label in CURVES.items():
            if column in curves and curves.step[curves[column].notna()].nunique() > 1:
                caption = f"{label}: mean over seeds; the band is their range."
                plot = partial(figures.plot_learning_curves, curves, column, label, self.axis)
                yield self._draw(f"learning-{column}", plot, caption)

    def memorisation(self, curves: pd.DataFrame) -> Drawing | None:
        """Whether the noise was learned by heart; None where it was not measured."""
        column = "noisy_cases_dice_to_noisy"
        if column not in curves or curves[column].isna().all():
            return None
        caption = (
            "Training cases while the network learns them, up to four of a kind, mean over cases and seeds. Left: Dice "
            "to the noisy label that they carry, at ratio 0 the same cases with their clean one: what lies above the "
            "line of ratio 0 is noise learned by heart. Middle: the same predictions against the reference, which no "
            "step sees. Right: cases that carry their reference."
        )
        return self._draw("memorisation", lambda: figures.plot_memorisation(curves, self.axis), caption, wide=True)

    def noise(self, applied: pd.DataFrame) -> Iterator[Drawing]:
        """The noise that was applied, by annotator."""
        once = applied.drop_duplicates("case_id") if len(applied) else applied
        for column, label in (("dice", "Dice to the reference"), ("hd95_mm", "HD95 to the reference, mm")):
            if len(once) and once[column].notna().any():
                caption = "Each training case's noisy label against its reference; mark: median, dashed: median of all."
                yield self._draw(f"noise-{column}", partial(figures.plot_noise, once, column, label), caption)

    def curves(self) -> Iterator[Drawing]:
        """The curves of the metrics that are not the primary one."""
        others = (self.curve(metric) for metric in METRICS if metric != self.primary)
        return (drawing for drawing in others if drawing is not None)

    def _by_seed(self, metric: Metric) -> pd.DataFrame:
        column = self.analysis.comparison.column
        return means_by_seed(self.cases, metric, column).rename(columns={column: "level"})

    @staticmethod
    def _is_wide(table: pd.DataFrame) -> bool:
        return int(table.dataset.nunique()) > 1

    def _draw(self, name: str, plot: Callable[[], Figure | Axes], caption: str, wide: bool = False) -> Drawing:
        name = f"{self.prefix}{name}"
        with figures.drawing_style(name):
            drawn: Any = plot()
            figure = drawn if isinstance(drawn, Figure) else drawn.figure
            return Drawing(name, Markup(figures.save(figure, self.folder / name)), caption, wide)
