"""A pilot: what a study that has been run says about the variation between seeds, cases and single pairs."""

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

TYPICAL = (3, 40)  # seeds and cases of the design by which pilots are ranked


@dataclass(frozen=True)
class Pilot:
    """What a pilot says about the paired differences of one ratio from ratio 0.

    Attributes:
        arm: Its condition in words.
        dataset: The data set that was tested on.
        noise_ratio: The ratio.
        n_seeds, n_cases: How many seeds, and subjects, were scored at both ratios.
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
        """Which one it is, in words."""
        return f"{self.dataset} at noise ratio {self.noise_ratio:g} ({self.arm})"


def find_pilots(cases: pd.DataFrame, metric: Metric) -> list[Pilot]:
    """Every arm, data set and ratio that tells how much seeds and cases vary.

    Raises:
        UserError: There is none, and why.
    """
    found = list(_pilots(cases, metric))
    usable = [one for one in found if isinstance(one, Pilot)]
    if not usable:
        raise UserError([f"pilot: {one}" for one in found if isinstance(one, str)])
    return usable


def choose_pilot(pilots: Sequence[Pilot], dataset: str | None = None, noise_ratio: float | None = None) -> Pilot:
    """The pilot to plan from: of one data set, the ratio at which the differences vary most.

    Args:
        pilots: What there is.
        dataset: By default the first one, which is the home test set.
        noise_ratio: By default any.

    Raises:
        UserError: None fits.
    """
    home = dataset or pilots[0].dataset
    fitting = [one for one in pilots if one.dataset == home and noise_ratio in (None, one.noise_ratio)]
    if not fitting:
        ratio = "any noise ratio" if noise_ratio is None else f"noise ratio {noise_ratio:g}"
        there = ", ".join(dict.fromkeys(f"{one.dataset} at {one.noise_ratio:g}" for one in pilots))
        raise UserError(f"pilot: nothing for {home} at {ratio}; there is {there}")
    return max(fitting, key=lambda one: one.components.spread(*TYPICAL).variance)


def _pilots(cases: pd.DataFrame, metric: Metric) -> Iterator[Pilot | str]:
    """Pilots, and a line for each that is none."""
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
    whole = pairs.complete_cases() if pairs else None
    n_seeds, n_subjects = (len(whole.seeds), len(set(whole.subjects))) if whole else (0, 0)
    if whole is None or n_seeds < 2 or n_subjects < 2:
        return (
            f"data set {dataset} at noise ratio {level:g} ({arm}): {n_seeds} seeds and {n_subjects} cases "
            "at both ratios, two of each are needed"
        )
    squares = mean_squares(whole.values, whole.numbered_subjects)
    return Pilot(arm, dataset, float(level), n_seeds, n_subjects, float(whole.values.mean()), squares.components)
