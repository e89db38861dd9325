"""The figures of docs/results/clean_budget: error that is left in the labels, and test Dice, against corrected cases.

    python docs/results/clean_budget/plot.py

Reads labels.csv, means.csv and openkbp-means.csv beside it, and writes curve and openkbp-curve as SVG and PNG.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mandseg.report.figures.style import MARKERS, drawing_style, save

HERE = Path(__file__).parent
ORDERS = {
    "oracle": ("true error, largest first (oracle)", "#009e73"),
    "measures": ("measures of the contours (mandseg rank)", "#0072b2"),
    "networks": ("distance from predictions (--folds 3)", "#d55e00"),
    "random": ("random", "#555555"),
}
REAL_ORDERS = ORDERS | {"networks": ("predictions and measures (--folds 3)", "#d55e00")}
OFFSET = 0.00625  # of all cases, between orders


def plot_error(ax: Axes, labels: pd.DataFrame) -> None:
    """Mean surface distance of the labels to their references while the first k of an order are corrected."""
    error = labels.assd_mm.to_numpy()
    k = np.arange(len(error) + 1)
    orders = {
        "oracle": np.argsort(-error),
        "measures": np.argsort(labels.measures),
        "networks": np.argsort(labels.networks),
    }
    for name, (title, colour) in ORDERS.items():
        if name == "random":
            left = error.mean() * (1 - k / len(error))
        else:
            left = (error.sum() - np.concatenate([[0.0], np.cumsum(error[orders[name]])])) / len(error)
        ax.plot(k, left, color=colour, label=title, ls="--" if name == "random" else "-")
    ax.set(xlabel="Corrected cases (of 40)", ylabel="Remaining error of the labels, mm", ylim=(0, None))


def plot_dice(ax: Axes, means: pd.DataFrame, orders: dict[str, tuple[str, str]], n_cases: int) -> None:
    """Test Dice with its 95 % interval against the budget; the line on top: all labels right."""
    rows = means[means.metric == "dice"]
    right = float(rows[rows.noise_ratio == 0]["mean"].iloc[0])
    ax.axhline(right, color="#999999", ls=":", label="all labels right")
    none = rows[(rows.noise_ratio == 1) & (rows.clean_budget == 0)].iloc[0]
    for place, (name, (title, colour)) in enumerate(orders.items()):
        own = rows[(rows.ranking == name) & (rows.clean_budget > 0)].sort_values("clean_budget")
        own = pd.concat([none.to_frame().T, own])
        x = own.clean_budget.astype(float) + OFFSET * n_cases * (place - 1.5)
        mean = own["mean"].astype(float)
        reach = [mean - own.low.astype(float), own.high.astype(float) - mean]
        ax.errorbar(x, mean, yerr=reach, color=colour, marker=MARKERS[place], capsize=2, label=title)
    ax.set(xlabel=f"Corrected cases (of {n_cases})", ylabel="Test Dice", xticks=sorted(set(rows.clean_budget)))


def main() -> None:
    """Write the figures."""
    with drawing_style("clean_budget"):
        figure = Figure(figsize=(8.4, 3.8))
        left, right = figure.subplots(1, 2)
        plot_error(left, pd.read_csv(HERE / "labels.csv"))
        plot_dice(right, pd.read_csv(HERE / "means.csv"), ORDERS, 40)
        handles, titles = right.get_legend_handles_labels()
        figure.legend(handles, titles, loc="outside upper left", ncols=2, frameon=False)
        save(figure, HERE / "curve")
        figure = Figure(figsize=(6.4, 4.6))
        ax = figure.subplots()
        plot_dice(ax, pd.read_csv(HERE / "openkbp-means.csv"), REAL_ORDERS, 95)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", frameon=False)
        save(figure, HERE / "openkbp-curve")


if __name__ == "__main__":
    main()
