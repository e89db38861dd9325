"""How often are the report's intervals and verdicts right? Simulated studies with a known truth; prints three tables.

Run: python benchmarks/coverage.py [--studies 400] [--resamples 1000]

Each study is a grid of noise ratios x seeds x cases with the standard deviations that the OpenKBP study showed, normal
or skewed as Dice is. Nominal: intervals hold the truth in 95 %, a verdict that is wrong at the margin comes in 2.5 %,
Wilcoxon's test finds nothing where nothing is in 95 %. A Monte-Carlo error of one standard error is printed.
400 studies take about six minutes on one core.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mandseg.metrics.catalogue import METRICS
from mandseg.statistics.bootstrap import Resampling
from mandseg.statistics.comparison import RATIO_COMPARISON
from mandseg.statistics.dataset_contrasts import contrast
from mandseg.statistics.dose_response import cross, fit_isotonic, margin_crossing
from mandseg.statistics.mixed_model import mixed_check
from mandseg.statistics.non_inferiority import verdict
from mandseg.statistics.paired_tests import Pairs, pair, rank_pairs
from mandseg.statistics.power import power_of
from mandseg.statistics.results import Contrast, Difference
from mandseg.statistics.score_table import ScoreMatrix
from mandseg.statistics.tolerated_ratio import tolerated_ratio
from mandseg.statistics.variance import Components

DICE = METRICS[0]
MARGIN = 0.02
RATIOS = (0.0, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class World:
    """Where a study's scores come from.

    Attributes:
        name: What is special about it.
        n_seeds, n_cases: Size of the study.
        seed, case, rest: Standard deviations of a difference from ratio 0 between seeds, cases and single pairs.
        losses: True loss of each ratio above 0.
        is_skewed: What noise does to a case has a long tail on the worse side, as Dice has.
        missed: Share of the noisy predictions that are missed, with Dice 0; part of the loss.
    """

    name: str
    n_seeds: int
    n_cases: int
    seed: float
    case: float
    rest: float
    losses: tuple[float, ...] = (0.0, MARGIN, 0.06)
    is_skewed: bool = False
    missed: float = 0.0

    def effects(self, rng: np.random.Generator, is_noisy: bool) -> np.ndarray:
        """What a ratio does to each case: mean 0; the difference of two has the standard deviation of cases."""
        shape = (1, self.n_cases)
        if not self.is_skewed:
            return rng.normal(0, self.case * 2**-0.5, shape)
        return self.case * (1 - rng.gamma(1.0, 1.0, shape)) * is_noisy  # an exponential tail downwards

    def draw(self, rng: np.random.Generator, level: float = 0.86) -> list[ScoreMatrix]:
        """One study: the scores at every ratio, ratio 0 first, all from the same cases."""
        seeds, cases = tuple(range(self.n_seeds)), tuple(f"{level}-{k}" for k in range(self.n_cases))
        half, shape = 2**-0.5, (self.n_seeds, self.n_cases)  # both ratios of a difference vary
        base = level + rng.normal(0, 0.04, (1, self.n_cases))
        study = []
        for ratio, loss in zip(RATIOS, (0.0, *self.losses), strict=True):
            missed = self.missed if ratio else 0.0
            found = base - (loss - missed * level) / (1 - missed) + self.effects(rng, ratio > 0)
            found = found + rng.normal(0, self.seed * half, (self.n_seeds, 1)) + rng.normal(0, self.rest * half, shape)
            study.append(ScoreMatrix(np.where(rng.random(shape) < missed, 0.0, found), seeds, cases, cases))
        return study


WORLDS = (
    World("as measured", 3, 40, 0.004, 0.015, 0.009),
    World("as measured, skewed", 3, 40, 0.004, 0.015, 0.009, is_skewed=True),
    World("five seeds, skewed", 5, 40, 0.004, 0.015, 0.009, is_skewed=True),
    World("ten seeds, a hundred cases", 10, 100, 0.004, 0.015, 0.009, is_skewed=True),
    World("one in a hundred missed", 5, 40, 0.004, 0.015, 0.009, (0.01, MARGIN, 0.06), is_skewed=True, missed=0.01),
    World("two seeds", 2, 40, 0.004, 0.015, 0.009),
    World("one seed, seeds alike", 1, 40, 0.0, 0.015, 0.009),
    World("one seed, seeds differ", 1, 40, 0.004, 0.015, 0.009),
    World("seeds differ most", 3, 40, 0.015, 0.010, 0.009),
    World("cases differ most", 3, 40, 0.0, 0.025, 0.005),
    World("only single pairs differ", 3, 40, 0.0, 0.0, 0.015),
    World("few cases", 3, 8, 0.004, 0.015, 0.009),
    World("three cases", 3, 3, 0.004, 0.015, 0.009),
)


def compare(study: Sequence[ScoreMatrix], resampling: Resampling, stream: int = 0) -> list[Pairs]:
    """Every ratio against ratio 0."""
    return [
        pair(ratio, scores, study[0], RATIO_COMPARISON, resampling, stream)
        for ratio, scores in zip(RATIOS[1:], study[1:], strict=True)
    ]


def judge_means(world: World, rng: np.random.Generator, resampling: Resampling) -> dict[str, bool]:
    """Whether the interval of a mean, of differences, of the mixed model and of contrasts hold the truth."""
    study, abroad = world.draw(rng), world.draw(rng, level=0.80)
    pairs, others = compare(study, resampling, 0), compare(abroad, resampling, 1)
    mean = study[0].distribution(resampling, 0)
    loss = world.losses[1]
    row = Difference("test", "dice", 0.5, margin=MARGIN)
    mixed = mixed_check(row, pairs[1], DICE, resampling.tail)
    assert mean is not None
    held = {
        "mean": mean.interval.low <= 0.86 <= mean.interval.high,
        "difference": _holds(pairs[1], -loss),
    }
    if mixed.low is not None and mixed.high is not None:
        held["mixed model"] = mixed.low <= -loss <= mixed.high
    for name, away, home, truth in (
        ("gap", abroad[0], study[0], -0.06),
        ("interaction", others[1].scores, pairs[1].scores, 0.0),
    ):
        assert away is not None
        assert home is not None
        found = contrast(Contrast("b", "a", "dice", 0.5), away, home, (1, 0), resampling)
        if found.low is not None and found.high is not None:
            held[name] = found.low <= truth <= found.high
    return held


def judge_verdicts(world: World, rng: np.random.Generator, resampling: Resampling) -> dict[str, bool]:
    """Whether a wrong verdict is given: no loss for Wilcoxon, a loss of exactly the margin for the others."""
    nothing, at_margin, _ = compare(world.draw(rng), resampling)
    interval = at_margin.distribution.interval if at_margin.distribution else None
    said = verdict(DICE, MARGIN, interval)
    wrong = {
        "non-inferior": said == "non-inferior",
        "inferior": said == "inferior",
        "equivalent": interval is not None and interval.low > -MARGIN and interval.high < MARGIN,
    }
    return wrong if world.losses[0] else wrong | {"Wilcoxon": rank_pairs(nothing)[0] <= 0.05}


def judge_tolerance(world: World, rng: np.random.Generator, resampling: Resampling) -> dict[str, bool]:
    """Whether the tolerated ratio is called too large, and whether its interval and the crossing's hold the truth."""
    pairs = compare(world.draw(rng), resampling)
    rows = [
        Difference(
            "test", "dice", one.level, verdict=verdict(DICE, MARGIN, one.distribution and one.distribution.interval)
        )
        for one in pairs
    ]
    truth = max((r for r, loss in zip(RATIOS[1:], world.losses, strict=True) if loss < MARGIN), default=0.0)
    true_crossing = cross(np.array(RATIOS[1:]), fit_isotonic(np.array([world.losses])), MARGIN)[0]
    tolerance = tolerated_ratio(rows, pairs, DICE, MARGIN, resampling.tail)
    crossing = margin_crossing(pairs, DICE, MARGIN, resampling.tail, ("test", ""))
    assert crossing is not None
    assert tolerance.low is not None
    assert tolerance.high is not None
    low, high = (np.inf if end is None else end for end in (crossing.low, crossing.high))
    return {
        "called too large": (tolerance.tolerated or 0.0) > truth,
        "tolerated ratio": tolerance.low <= truth <= tolerance.high,
        "crossing": bool(low <= true_crossing <= high),
    }


def _holds(pairs: Pairs, truth: float) -> bool:
    assert pairs.distribution is not None
    return pairs.distribution.interval.low <= truth <= pairs.distribution.interval.high


Judge = Callable[[World, np.random.Generator, Resampling], dict[str, bool]]


def rates(judge: Judge, world: World, n_studies: int, n_resamples: int) -> dict[str, float]:
    """The share of studies in which each thing is true; the same numbers every time."""
    found = [
        judge(world, np.random.default_rng([11, study]), Resampling(n_resamples, seed=study))
        for study in range(n_studies)
    ]
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def planned_and_found_power(n_studies: int, n_resamples: int) -> Iterator[tuple[int, int, float, float]]:
    """Power against the margin with no true loss: as planned from the variances, and as simulated studies have it."""
    for n_seeds, n_cases in ((3, 20), (3, 60), (5, 40)):
        world = World("power", n_seeds, n_cases, 0.006, 0.03, 0.02, losses=(0.0, 0.0, 0.0))
        spread = Components(world.seed**2, world.case**2, world.rest**2).spread(n_seeds, n_cases)

        def judge(world: World, rng: np.random.Generator, resampling: Resampling) -> dict[str, bool]:
            one = compare(world.draw(rng), resampling)[0]
            return {"shown": verdict(DICE, MARGIN, one.distribution and one.distribution.interval) == "non-inferior"}

        yield n_seeds, n_cases, power_of(MARGIN, spread, 0.025), rates(judge, world, n_studies, n_resamples)["shown"]


def print_table(title: str, judge: Judge, worlds: Sequence[World], n_studies: int, n_resamples: int) -> None:
    """Print one row for each world."""
    names: list[str] = []
    for world in worlds:
        found = rates(judge, world, n_studies, n_resamples)
        if not names:
            names = list(found)
            print(f"\n{title}\n\n| world | seeds x cases | {' | '.join(names)} |\n|{' --- |' * (len(names) + 2)}")
        cells = [f"{found[name]:.3f}" if name in found else "none" for name in names]
        print(f"| {world.name} | {world.n_seeds} x {world.n_cases} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    n, resamples = arguments.studies, arguments.resamples
    errors = [np.sqrt(p * (1 - p) / n) for p in (0.95, 0.025)]
    print(f"{n} studies each: one standard error is {errors[0]:.3f} at 0.95 and {errors[1]:.3f} at 0.025")
    print_table("Coverage of 95 % intervals", judge_means, WORLDS, n, resamples)
    print_table("Wrong verdicts, nominal at most 0.025 (Wilcoxon 0.05)", judge_verdicts, WORLDS, n, resamples)
    between = [replace(world, losses=(0.01, 0.03, 0.06)) for world in WORLDS]
    print_table("Tolerated ratio and crossing, loss 0.03 at ratio 0.5", judge_tolerance, between, n, resamples)
    print_table("Tolerated ratio and crossing, loss at the margin at ratio 0.5", judge_tolerance, WORLDS, n, resamples)
    print("\nPower against the margin\n\n| seeds x cases | planned | found |\n| --- | --- | --- |")
    for n_seeds, n_cases, planned, found in planned_and_found_power(n, resamples):
        print(f"| {n_seeds} x {n_cases} | {planned:.3f} | {found:.3f} |")


if __name__ == "__main__":
    main()
