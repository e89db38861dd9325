"""The noise that was applied: agreement of each noisy label with its reference, by annotator."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mandseg.report.figures.source import Drawing, FigureSource
from mandseg.report.figures.style import BLUE, FAINT, INK, one_axes
from mandseg.system.wording import count

DRAWN_ANNOTATORS = 30


def plot_noise(applied: pd.DataFrame, column: str, label: str, ax: Axes | None = None) -> Axes:
    """A row for each annotator: agreement of every noisy training label with its reference, and the median.

    Args:
        applied: ``annotator`` and the column, one row for each training case.
        column: ``dice`` or ``hd95_mm``.
        label: The label of the x axis.
        ax: Axes to draw on.
    """
    rows = applied.dropna(subset=[column])
    medians = rows.groupby("annotator")[column].median().sort_values()
    medians = medians.iloc[:DRAWN_ANNOTATORS]
    ax = ax or one_axes(5.6, 0.9 + 0.26 * len(medians))
    for line, (annotator, median) in enumerate(medians.items()):
        values = np.sort(rows[column][rows.annotator == annotator].to_numpy(float))
        ax.scatter(values, np.full(len(values), line), s=14, color=FAINT, alpha=0.6, lw=0)
        ax.plot([median], [line], marker="|", ms=13, mew=2.4, color=BLUE)
    ax.axvline(float(rows[column].median()), color=INK, lw=1, ls=(0, (4, 2.5)))
    ax.set_yticks(range(len(medians)), [str(name) or "unnamed" for name in medians.index])
    ax.set_ylim(len(medians) - 0.4, -0.6)
    ax.grid(visible=True, axis="x")
    ax.set_xlabel(label)
    return ax


def noise(source: FigureSource) -> Iterator[Drawing]:
    """The noise that was applied, by annotator."""
    applied = source.applied
    once = applied.drop_duplicates("case_id") if len(applied) else applied
    for column, label in (("dice", "Dice to the reference"), ("hd95_mm", "HD95 to the reference, mm")):
        if len(once) and once[column].notna().any():
            caption = (
                "Each point is the noisy label of one training case, compared with its reference. "
                "Mark: median. Dashed line: median of all."
            )
            if (n := once.annotator.nunique()) > DRAWN_ANNOTATORS:
                caption += f" Of {count(n, 'annotator')}, the {DRAWN_ANNOTATORS} with the lowest medians are drawn."
            yield source.draw(f"noise-{column}", partial(plot_noise, once, column, label), caption)
