"""Planning a study from a pilot: how many test cases and seeds show that a loss stays within a margin?

In: the variances of a pilot. Out: the power of every design, and the number of cases that each number of seeds needs.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mandseg.metrics.catalogue import Metric
from mandseg.statistics.bootstrap import Resampling
from mandseg.statistics.pilot import Pilot
from mandseg.statistics.power import POWER, power_of
from mandseg.system.errors import UserError
from mandseg.system.files import Kind

SEEDS = (2, 3, 4, 5, 7, 10)
CASES = (5, 7, 10, 14, 20, 28, 40, 56, 80, 113, 160, 226, 320, 453, 640)
FEWEST_CASES, MOST_CASES = 6, 20_000  # with fewer cases the interval assumes a normal distribution
FOLDER = Kind(
    "a plan",
    "choose an empty folder with --out",
    frozenset({"power.csv", "needed.csv", "power.svg", "power.png"}),
    re.compile(r"(power|needed)\.csv|power\.(svg|png)"),
)


@dataclass(frozen=True)
class Question:
    """The claim that the study shall show: a metric loses less than a margin.

    Attributes:
        metric: The metric.
        margin: The largest tolerated loss, in the unit of the metric.
        power: The share of studies of the planned size that shall show the claim.
        loss: The assumed true loss, below the margin.
    """

    metric: Metric
    margin: float
    power: float = POWER
    loss: float = 0.0

    def __post_init__(self) -> None:
        most = self.metric.highest - self.metric.lowest
        if not 0 < self.margin < most:
            below = f" and below {most:g}, the largest difference" if most < float("inf") else ""
            raise UserError(f"--margin {self.margin:g}: expected a number above 0{below}")
        if not 0 < self.power < 1:
            raise UserError(f"--power {self.power:g}: expected a share between 0 and 1, e.g. 0.8")
        if not -most < self.loss:
            raise UserError(f"--loss {self.loss:g}: expected a number above {-most:g}; a gain is a negative loss")
        if not self.loss < self.margin:
            raise UserError(
                f"--loss {self.loss:g}: a loss of the margin ({self.margin:g}) or more cannot be shown to be less"
            )


@dataclass(frozen=True)
class Plan:
    """Designs that answer a question, given a pilot.

    Attributes:
        question: The question.
        pilot: The source of the variances.
        designs: ``n_seeds, n_cases, power`` of a grid of designs.
        needed: ``n_seeds, n_cases``: the fewest cases that reach the power; missing where no number of cases does.
    """

    question: Question
    pilot: Pilot
    designs: pd.DataFrame
    needed: pd.DataFrame


def plan(question: Question, pilot: Pilot) -> Plan:
    """The power of a grid of designs, and the fewest cases that reach the wanted power."""
    designs = [
        {"n_seeds": n_seeds, "n_cases": n_cases, "power": design_power(question, pilot, n_seeds, n_cases)}
        for n_seeds in SEEDS
        for n_cases in CASES
    ]
    needed = [{"n_seeds": n_seeds, "n_cases": cases_needed(question, pilot, n_seeds)} for n_seeds in SEEDS]
    return Plan(question, pilot, pd.DataFrame(designs), pd.DataFrame(needed).astype({"n_cases": "Int64"}))


def design_power(question: Question, pilot: Pilot, n_seeds: int, n_cases: int) -> float:
    """Probability that a study of this size shows the loss to be within the margin."""
    spread = pilot.components.spread(n_seeds, n_cases)
    return power_of(question.margin - question.loss, spread, Resampling().tail)


def cases_needed(question: Question, pilot: Pilot, n_seeds: int) -> int | None:
    """The fewest cases, at least 6, that reach the power; None if 20,000 cases do not reach it."""
    steps = np.unique(
        np.geomspace(FEWEST_CASES, MOST_CASES, 120).astype(int)
    )  # ascending search, because the power is not exactly monotone
    reached = (int(n) for n in steps if design_power(question, pilot, n_seeds, int(n)) >= question.power)
    high = next(reached, None)
    if high is None:
        return None
    low = int(max([FEWEST_CASES - 1, *steps[steps < high]]))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if design_power(question, pilot, n_seeds, middle) >= question.power else (middle, high)
        )
    return high
