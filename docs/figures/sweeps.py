"""Figures of docs/results/severity and docs/results/bias: the loss against the noise ratio, a line for each condition.

    python docs/figures/sweeps.py

Reads the differences.csv that ``mandseg report`` wrote for each study and writes losses.svg beside it.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import metric_named
from mandseg.metrics.margins import MARGINS
from mandseg.report.figures.style import MARKERS, drawing_style, save

RESULTS = Path(__file__).parents[1] / "results"
CONDITIONS = {
    "severity": {f"planning-dice{dice}": f"Dice {dice}" for dice in ("0.95", "0.9", "0.8", "0.7")},
    "bias": {
        "boundary-bias-2-dice0.8": "inward",
        "boundary-dice0.8": "no bias",
        "boundary-bias2-dice0.8": "outward",
    },
}
COLOURS = ("#0072b2", "#56b4e9", "#e69f00", "#d55e00")
OFFSET = 0.02  # of the ratio axis, between conditions


def plot_losses(differences: pd.DataFrame, conditions: dict[str, str]) -> Figure:
    """Paired difference in Dice from ratio 0 with its 95 % interval: a panel for each data set, a line a condition."""
    rows = differences[differences.metric == "dice"]
    datasets = list(rows.dataset.drop_duplicates())
    figure = Figure(figsize=(3.1 * len(datasets), 3.2))
    for ax, dataset in zip(figure.subplots(1, len(datasets), sharey=True), datasets, strict=True):
        for place, (condition, label) in enumerate(conditions.items()):
            own = rows[(rows.dataset == dataset) & (rows.noise == condition)].sort_values("noise_ratio")
            x = own.noise_ratio + OFFSET * (place - (len(conditions) - 1) / 2)
            reach = [own.difference - own.low, own.high - own.difference]
            look = {"color": COLOURS[place], "marker": MARKERS[place], "capsize": 2, "label": label}
            ax.errorbar([0, *x], [0, *own.difference], yerr=[[0, *reach[0]], [0, *reach[1]]], **look)
        ax.axhline(-float(MARGINS.of(metric_named("dice")) or 0), color="#009e73", lw=1, ls="--")
        ax.set(title=dataset, xlabel="Noise ratio", xticks=[0, 0.5, 1])
    figure.axes[0].set_ylabel("Dice: difference from ratio 0")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)
    return figure


def main() -> None:
    """Write both figures."""
    for study, conditions in CONDITIONS.items():
        with drawing_style(study):
            figure = plot_losses(pd.read_csv(RESULTS / study / "differences.csv"), conditions)
            save(figure, RESULTS / study / "losses")


if __name__ == "__main__":
    main()
