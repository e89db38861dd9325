"""The size of a planned study: print the plan, draw it and write it."""

from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from mandseg.metrics.catalogue import metric_named
from mandseg.report.wording import amount
from mandseg.runs.study import read_pilot
from mandseg.statistics.pilot import choose_pilot, find_pilots
from mandseg.statistics.planning import FOLDER, SEEDS, Plan, Question, plan
from mandseg.statistics.power import POWER
from mandseg.system.files import refuse_foreign_files, replaced_folder
from mandseg.system.terminal import open_console
from mandseg.system.wording import count


def plan_study(
    path: Path,
    margin: float,
    power: float = POWER,
    metric: str = "dice",
    loss: float = 0.0,
    dataset: str | None = None,
    noise_ratio: float | None = None,
    out: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Print the plan and write needed.csv, power.csv, power.svg and power.png, all or none.

    Args:
        path: A study folder, or a pooled cases.csv.
        margin: The largest tolerated loss.
        power: The share of studies of the planned size that shall show the claim.
        metric: Column of the metric.
        loss: The assumed true loss.
        dataset: The data set of the pilot; by default the first.
        noise_ratio: The noise ratio of the pilot; by default the one at which the differences vary most.
        out: Folder of the files; by default ``plan`` in the study folder or beside cases.csv.
        console: The table is printed here.

    Returns:
        The folder.

    Raises:
        UserError: The pilot cannot be read, has too few seeds or cases, or a number is out of range.
    """
    question = Question(metric_named(metric), margin, power, loss)
    folder = out or (path if path.is_dir() else path.parent) / "plan"
    refuse_foreign_files(folder, FOLDER)
    pilot = choose_pilot(find_pilots(read_pilot(path), question.metric), dataset, noise_ratio)
    planned = plan(question, pilot)
    with replaced_folder(folder, FOLDER) as new:
        planned.needed.to_csv(new / "needed.csv", index=False)
        planned.designs.to_csv(new / "power.csv", index=False)
        draw(planned, new)
    print_plan(planned, console or open_console())
    return folder


def print_plan(planned: Plan, console: Console) -> None:
    """Print the question, the pilot, and the number of cases that each number of seeds needs."""
    question, pilot, parts = planned.question, planned.pilot, planned.pilot.components
    assumed = f"a true loss of {amount(question.loss, question.metric)}" if question.loss else "no true loss"
    lines = (
        f"To show in {100 * question.power:g} of 100 studies that mean {question.metric.label} loses less than "
        f"{amount(question.margin, question.metric)}, with {assumed}.",
        f"Pilot: {pilot.title}, {count(pilot.n_seeds, 'seed')}, {count(pilot.n_cases, 'case')}. "
        "Standard deviation of the differences: "
        f"between seeds {'unknown' if pilot.n_seeds == 1 else f'{parts.seed**0.5:.3g}'}, between cases "
        f"{parts.case**0.5:.3g}, of single pairs {'unknown' if pilot.n_seeds == 1 else f'{parts.rest**0.5:.3g}'}.",
    )
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    table = Table("seeds", "test cases", "trainings at two ratios")
    for n_seeds, n_cases in zip(planned.needed.n_seeds, planned.needed.n_cases, strict=True):
        cases = "no number is enough" if n_cases is pd.NA else str(n_cases)
        table.add_row(str(n_seeds), cases, str(2 * n_seeds))
    console.print(table)
    if pilot.n_seeds == 1:
        unknown = "so the variation between seeds is not known and counts as 0: these numbers are the least possible."
        console.print(f"The pilot has only 1 seed, {unknown}", soft_wrap=True)
    elif pilot.n_seeds < 4:
        unknown = "so the variation between seeds is hardly known: plan for more."
        console.print(f"The pilot has only {pilot.n_seeds} seeds, {unknown}", soft_wrap=True)


def draw(planned: Plan, folder: Path) -> None:
    """Draw power against the number of test cases, one line for each number of seeds."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullLocator

    from mandseg.report import figures

    question = planned.question
    with figures.drawing_style("power"):
        figure = Figure(figsize=(6.4, 3.8))
        ax = figure.add_subplot()
        alphas = np.linspace(0.25, 1.0, len(SEEDS))
        for shade, (n_seeds, rows) in zip(alphas, planned.designs.groupby("n_seeds"), strict=True):
            label = count(int(str(n_seeds)), "seed")
            ax.plot(rows.n_cases, rows.power, color=figures.COLOURS[0], alpha=shade, lw=1.8, label=label)
        ax.axhline(question.power, color=figures.MARGIN, lw=1, ls=(0, (4, 3)))
        ax.set_xscale("log")
        ax.set_xticks([5, 10, 20, 40, 80, 160, 320, 640])
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_ylim(0, 1.02)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True)
        ax.set_xlabel("Test cases")
        ax.set_ylabel(f"Power (margin {amount(question.margin, question.metric)})")
        figure.savefig(folder / "power.svg", metadata={"Date": None})
        figure.savefig(folder / "power.png", dpi=200)
