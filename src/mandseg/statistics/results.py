"""The rows of an analysis, one for each data set, metric and level; a missing number is None, never NaN."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

import pandas as pd

from mandseg.metrics.catalogue import Metric
from mandseg.statistics.bootstrap import Interval
from mandseg.statistics.columns import RATIO_COLUMN
from mandseg.statistics.comparison import Level
from mandseg.statistics.non_inferiority import Equivalence, Verdict


class _AtLevel:
    level: Level

    @property
    def noise_ratio(self) -> float:
        """The level of a comparison of noise ratios."""
        return float(self.level)


@dataclass(frozen=True)
class Mean(_AtLevel):
    """Mean of one metric on one data set at one level; missed cases count with their worst-case scores."""

    dataset: str
    metric: str
    level: Level
    mean: float
    low: float | None
    high: float | None
    n_cases: int
    n_seeds: int
    n_predictions: int
    n_missed: int
    n_spurious: int
    notes: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Difference(_AtLevel):
    """One level minus the baseline on the same cases and seeds; numbers are None if ``notes`` gives the reason.

    Attributes:
        p: Two-sided p of Wilcoxon's signed-rank test over cases, for these trainings only; ``p_holm`` is the same,
            adjusted over the levels.
        p_crossed: Two-sided p of "the mean difference is 0" from the crossed resamples, which cover other seeds.
        p_non_inferior: One-sided p of "the loss is the margin or more".
        p_equivalent: The larger p of the two one-sided tests (TOST).
        detectable: The smallest true difference that a study like this one would find in 80 of 100 tries.
    """

    dataset: str
    metric: str
    level: Level
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    n_cases: int = 0
    n_seeds: int = 0
    p: float | None = None
    p_holm: float | None = None
    rank_biserial: float | None = None
    margin: float | None = None
    verdict: Verdict = "not comparable"
    notes: tuple[str, ...] = ()
    p_non_inferior: float | None = None
    equivalence: Equivalence = "not comparable"
    p_equivalent: float | None = None
    detectable: float | None = None
    p_crossed: float | None = None
    group: str = ""

    def without_verdict(self, note: str) -> "Difference":
        """The same numbers without a verdict, and the reason."""
        notes = (*self.notes, note)
        return replace(
            self,
            verdict="not comparable",
            equivalence="not comparable",
            p_non_inferior=None,
            p_equivalent=None,
            notes=notes,
        )


@dataclass(frozen=True)
class Tolerance:
    """The tolerated noise ratio of one data set and metric.

    Attributes:
        tolerated: Largest tested ratio for which it and all smaller ones are non-inferior to ratio 0; None for none.
        estimate: Largest tested ratio for which it and all smaller ones have a mean loss below the margin; 0 for none;
            None if the smallest ratio cannot be compared.
        low, high: Interval of ``estimate`` over resamples of seeds and cases; None where it cannot be given.
        shares: For each tested ratio the share of resamples in which ``estimate`` reaches it.
    """

    dataset: str
    metric: str
    margin: float
    tolerated: float | None
    stopped_at: float | None
    verdict_there: Verdict | None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    shares: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class CurvePoint:
    """A point of the monotone curve: the difference from ratio 0 at a tested ratio, with its interval."""

    level: float
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Crossing:
    """Where the monotone curve of the loss crosses the margin; None if beyond the ``largest`` tested ratio."""

    dataset: str
    metric: str
    margin: float
    crossing: float | None
    low: float | None
    high: float | None
    largest: float
    curve: tuple[CurvePoint, ...]
    notes: tuple[str, ...] = ()
    group: str = ""

    @property
    def words(self) -> str:
        """The crossing with its interval: ``0.43 (0.31 to beyond 1)``."""
        here, low, high = (self._as_text(value) for value in (self.crossing, self.low, self.high))
        if not any(point.low is not None for point in self.curve):
            return f"{here} (no interval)"
        return f"{here} (the whole interval)" if self.low is None else f"{here} ({low} to {high})"

    def _as_text(self, value: float | None) -> str:
        return f"beyond {self.largest:g}" if value is None else f"{value:.2f}"


@dataclass(frozen=True)
class MixedCheck(_AtLevel):
    """The difference from a mixed model with random effects of case and seed: a check without resampling."""

    dataset: str
    metric: str
    level: Level
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    sd_seed: float | None = None
    sd_case: float | None = None
    sd_residual: float | None = None
    verdict: Verdict = "not comparable"
    agrees: bool | None = None
    notes: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Contrast(_AtLevel):
    """One data set minus the home data set at one level: of means (gap), or of differences (interaction)."""

    dataset: str
    reference_dataset: str
    metric: str
    level: Level
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    n_cases: int = 0
    n_reference_cases: int = 0
    n_seeds: int = 0
    notes: tuple[str, ...] = ()


Row = Mean | Difference | Tolerance | Crossing | MixedCheck | Contrast


def as_table(rows: Sequence[Row], kind: type[Row], axis: str = RATIO_COLUMN) -> pd.DataFrame:
    """Rows as a table for figures and CSV: a missing number is an empty cell, the notes are joined to one text.

    Args:
        rows: Rows of one kind.
        kind: Their class, for the columns of an empty table.
        axis: Name of the column of levels, by default the noise ratio.
    """
    table = pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(kind)])
    table["notes"] = table.notes.map("; ".join)
    if kind is Tolerance:
        table["shares"] = table.shares.map(lambda shares: "; ".join(f"{r:g}: {share:.3f}" for r, share in shares))
    return table.drop(columns="curve", errors="ignore").rename(columns={"level": axis})


def curve_table(crossings: Sequence[Crossing]) -> pd.DataFrame:
    """The points of the monotone curves: ``dataset, group, metric, noise_ratio, difference, low, high``."""
    rows = [
        {"dataset": row.dataset, "group": row.group, "metric": row.metric, **asdict(point)}
        for row in crossings
        for point in row.curve
    ]
    columns = ["dataset", "group", "metric", "level", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns).rename(columns={"level": RATIO_COLUMN})


def cut_to_possible(rows: Sequence[Difference], metric: Metric, baseline: Sequence[Mean]) -> tuple[Difference, ...]:
    """End the intervals of differences at what the baseline leaves: no Dice of 0.1 can lose 0.2.

    The verdict and the p-values follow from the uncut interval.

    Args:
        rows: Differences of one data set and metric from the baseline.
        metric: The metric.
        baseline: The mean at the baseline, with its interval if there is one. It says nothing of a difference of fewer
            cases or seeds.
    """
    cut = []
    for row in rows:
        if row.low is not None and row.high is not None:
            low, high = metric.lowest, metric.highest
            for mean in baseline:
                if mean.low is not None and mean.high is not None and _of_the_same(mean, row):
                    low, high = mean.low, mean.high
            ends = Interval(row.low, row.high).within(metric.lowest - high, metric.highest - low)
            row = replace(row, low=ends.low, high=ends.high)
        cut.append(row)
    return tuple(cut)


def _of_the_same(mean: Mean, row: Difference) -> bool:
    """Whether a mean at the baseline is that of all the cases and seeds of a difference, and of no others."""
    return (mean.n_cases, mean.n_seeds) == (row.n_cases, row.n_seeds)
