"""A pilot: the variation between seeds, cases and single pairs in a study that was run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from mandseg.metrics.catalogue import Metric
from mandseg.statistics.bootstrap import Resampling
from mandseg.statistics.comparison import RATIO_COMPARISON, Level, split_arms
from mandseg.statistics.paired_tests import pair
from mandseg.statistics.score_table import ScoreMatrix, build_score_tables
from mandseg.statistics.variance import Components, mean_squares
from mandseg.system.errors import UserError
from mandseg.system.wording import count

TYPICAL = (3, 40)  # seeds and cases of the design by which pilots are ranked


@dataclass(frozen=True)
class Pilot:
    """The paired differences of one noise ratio from ratio 0 in a pilot.

    Attributes:
        arm: The condition of the arm in words.
        dataset: The test data set.
        noise_ratio: The ratio.
        n_seeds, n_cases: Number of seeds, and of subjects, scored at both ratios.
        difference: Mean difference from ratio 0.
        components: Variances of the differences.
    """

    arm: str
    dataset: str
    noise_ratio: float
    n_seeds: int
    n_cases: int
    difference: float
    components: Components

    @property
    def title(self) -> str:
        """Data set, noise ratio and arm in words."""
        return f"{self.dataset} at noise ratio {self.noise_ratio:g} ({self.arm})"


def find_pilots(cases: pd.DataFrame, metric: Metric) -> list[Pilot]:
    """Every arm, data set and ratio with enough cases to estimate their variation; with one seed its part counts as 0.

    Raises:
        UserError: There is none; one line gives the reason for each.
    """
    if metric.column not in cases:
        raise UserError(f"pilot: the cases have no column {metric.column}")
    found = list(_pilots(cases, metric))
    usable = [one for one in found if isinstance(one, Pilot)]
    if not usable:
        reasons = [one for one in found if isinstance(one, str)]
        others = f", and {len(reasons) - 1} further reasons of this kind" if len(reasons) > 1 else ""
        raise UserError(f"pilot: {reasons[0]}{others}" if reasons else "pilot: no case is scored")
    return usable


def choose_pilot(pilots: Sequence[Pilot], dataset: str | None = None, noise_ratio: float | None = None) -> Pilot:
    """Choose the pilot to plan from: the ratio of one data set at which the differences vary most.

    Args:
        pilots: All pilots.
        dataset: The data set; by default the first one, which is the home test set.
        noise_ratio: The ratio; by default any.

    Raises:
        UserError: No pilot fits.
    """
    home = dataset or pilots[0].dataset
    fitting = [one for one in pilots if one.dataset == home and noise_ratio in (None, one.noise_ratio)]
    if not fitting:
        ratio = "any noise ratio" if noise_ratio is None else f"noise ratio {noise_ratio:g}"
        known = ", ".join(dict.fromkeys(f"{one.dataset} at {one.noise_ratio:g}" for one in pilots))
        raise UserError(f"pilot: nothing for {home} at {ratio}; there is {known}")
    return max(fitting, key=lambda one: one.components.spread(*TYPICAL).variance)


def _pilots(cases: pd.DataFrame, metric: Metric) -> Iterator[Pilot | str]:
    """Every pilot; where one cannot be made, a line with the reason."""
    for arm in split_arms(cases):
        for score_table in build_score_tables(arm.cases, RATIO_COMPARISON):
            by_level = score_table.scores(metric)
            baseline = by_level.pop(RATIO_COMPARISON.baseline, None)
            if baseline is None or not by_level:
                yield f"data set {score_table.dataset} ({arm.title}): needs noise ratio 0 and another one"
                continue
            if why := score_table.unlearned(RATIO_COMPARISON.baseline):
                where = f"data set {score_table.dataset} ({arm.title})"
                yield f"{where}: at noise ratio 0 the network has not learned ({why})"
                continue
            for level, scores in by_level.items():
                yield _pilot(arm.title, score_table.dataset, level, scores, baseline)


def _pilot(arm: str, dataset: str, level: Level, scores: ScoreMatrix, baseline: ScoreMatrix) -> Pilot | str:
    pairs = pair(level, scores, baseline, RATIO_COMPARISON, Resampling(n_resamples=1), 0).scores
    complete = pairs.complete_cases() if pairs else None
    n_seeds, n_subjects = (len(complete.seeds), len(set(complete.subjects))) if complete else (0, 0)
    if complete is None or n_seeds < 1 or n_subjects < 2:
        return (
            f"data set {dataset} at noise ratio {level:g} ({arm}): {count(n_seeds, 'seed')} and "
            f"{count(n_subjects, 'case')} at both ratios, one seed and two cases are needed"
        )
    squares = mean_squares(complete.values, complete.numbered_subjects)
    return Pilot(arm, dataset, float(level), n_seeds, n_subjects, float(complete.values.mean()), squares.components)
