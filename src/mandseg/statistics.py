"""Cases of one arm (one cohort, noise, model and method) -> means, paired differences from ratio 0, tolerated ratio.

The unit of analysis is the case, paired across ratios; seeds are a second, crossed level. No torch, no hydra. What each
number is stands in docs/statistics.md.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mandseg.bootstrap import Floats, Interval, Resampling, case_means, crossed_interval, mean_over_cases
from mandseg.margins import MARGINS, METRICS, Margins, Metric

Verdict = Literal["non-inferior", "inferior", "inconclusive", "no margin", "not comparable"]


@dataclass(frozen=True)
class Mean:
    """Mean of one metric on one data set at one ratio; missed cases are in it with their worst-case scores."""

    dataset: str
    metric: str
    noise_ratio: float
    mean: float
    low: float | None
    high: float | None
    n_cases: int
    n_seeds: int
    n_predictions: int
    n_missed: int
    n_spurious: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One ratio minus ratio 0 on the same cases and seeds; numbers are None where ``notes`` says why."""

    dataset: str
    metric: str
    noise_ratio: float
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


@dataclass(frozen=True)
class Tolerance:
    """Largest tested ratio at which it and all smaller ones are non-inferior to ratio 0; None: not one was."""

    dataset: str
    metric: str
    margin: float
    tolerated: float | None
    stopped_at: float | None
    verdict_there: Verdict | None


@dataclass(frozen=True)
class Analysis:
    """Everything the report says about one arm, in the order of data sets, metrics and ratios."""

    means: tuple[Mean, ...]
    differences: tuple[Difference, ...]
    tolerances: tuple[Tolerance, ...]

    def mean(self, dataset: str, metric: str, noise_ratio: float) -> Mean | None:
        """The mean of one data set, metric and ratio, None where nothing was scored."""
        keys = (dataset, metric, noise_ratio)
        return next((row for row in self.means if (row.dataset, row.metric, row.noise_ratio) == keys), None)

    def differences_of(self, dataset: str, metric: str) -> tuple[Difference, ...]:
        """The differences of one data set and metric, by ratio."""
        return tuple(row for row in self.differences if (row.dataset, row.metric) == (dataset, metric))


@dataclass(frozen=True)
class Scores:
    """One metric on one data set at one ratio as an array; NaN where a case was not scored for a seed."""

    values: Floats  # (S, C)
    seeds: tuple[int, ...]
    cases: tuple[str, ...]
    subjects: tuple[str, ...]  # of each case

    def trimmed(self) -> "Scores":
        """Without seeds and cases that hold no score at all."""
        present = np.isfinite(self.values)
        rows, columns = np.flatnonzero(present.any(axis=1)), np.flatnonzero(present.any(axis=0))
        return Scores(
            self.values[np.ix_(rows, columns)],
            tuple(self.seeds[row] for row in rows),
            tuple(self.cases[column] for column in columns),
            tuple(self.subjects[column] for column in columns),
        )

    def interval(self, resampling: Resampling) -> Interval | None:
        """Interval of the mean over cases."""
        return crossed_interval(self.values, _numbered(self.subjects), resampling)

    def notes(self) -> tuple[str, ...]:
        """What the numbers cannot say, in words."""
        holes, subjects = int((~np.isfinite(self.values)).sum()), len(set(self.subjects))
        lines = {
            f"{holes} of {self.values.size} case-seed pairs are missing": holes > 0,
            "one seed: the interval does not cover the variation between trainings": len(self.seeds) == 1,
            f"{subjects} subjects: the interval leans on a normal distribution": 1 < subjects < 6,
            "one subject: no interval can be given": subjects == 1,
            f"{len(self.cases)} cases of {subjects} subjects, drawn by subject": 1 < subjects < len(self.cases),
        }
        return tuple(line for line, said in lines.items() if said)


def analyse(cases: pd.DataFrame, margins: Margins = MARGINS, resampling: Resampling | None = None) -> Analysis:
    """Analyse one arm: every data set and metric.

    Args:
        cases: Rows ``noise_ratio, seed, dataset, case_id, subject_id, outcome`` and one column per metric.
        margins: The loss that counts as no loss.
        resampling: How intervals are drawn (default: 4,000 resamples, 95 %, seed 0).
    """
    drawn = resampling or Resampling()
    means: list[Mean] = []
    differences: list[Difference] = []
    for dataset in cases.dataset.drop_duplicates():
        rows = cases[cases.dataset == dataset]
        for metric in METRICS:
            by_ratio = scores_by_ratio(rows, metric)
            means += [_mean(rows, metric, ratio, scores, drawn) for ratio, scores in by_ratio.items()]
            differences += _differences(str(dataset), metric, by_ratio, margins, drawn)
    return Analysis(tuple(means), tuple(differences), tuple(_tolerances(differences)))


def as_table(rows: Sequence[Mean] | Sequence[Difference], kind: type[Mean] | type[Difference]) -> pd.DataFrame:
    """Rows as a table for figures and CSV: an absent number is an empty cell, notes are one text."""
    table = pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(kind)])
    table["notes"] = table.notes.map("; ".join)
    return table


def means_by_seed(cases: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The mean of every single training: ``dataset, noise_ratio, seed, mean``."""
    grouped = cases.groupby(["dataset", "noise_ratio", "seed"], sort=False)[metric.column]
    return grouped.mean().dropna().rename("mean").reset_index()


def scores_by_ratio(rows: pd.DataFrame, metric: Metric) -> dict[float, Scores]:
    """Arrays of one metric of one data set, ratios ascending; ratios without any score are left out."""
    cases = rows.drop_duplicates("case_id").sort_values("case_id")
    by_ratio = {}
    for ratio, part in rows.groupby("noise_ratio"):
        square = part.pivot(index="seed", columns="case_id", values=metric.column).reindex(columns=cases.case_id)
        seeds = tuple(int(seed) for seed in square.index)
        scores = Scores(square.to_numpy(float), seeds, tuple(cases.case_id), tuple(cases.subject_id))
        if np.isfinite(scores.values).any():
            by_ratio[float(str(ratio))] = scores
    return by_ratio


def _mean(rows: pd.DataFrame, metric: Metric, ratio: float, scores: Scores, drawn: Resampling) -> Mean:
    outcome = rows.outcome[rows.noise_ratio == ratio]
    kept = scores.trimmed()
    interval = kept.interval(drawn)
    ends = interval.within(metric.lowest, metric.highest) if interval else None
    absent = len(scores.cases) - len(kept.cases)
    return Mean(
        dataset=str(rows.dataset.iloc[0]),
        metric=metric.column,
        noise_ratio=ratio,
        mean=mean_over_cases(kept.values),
        low=ends.low if ends else None,
        high=ends.high if ends else None,
        n_cases=len(kept.cases),
        n_seeds=len(kept.seeds),
        n_predictions=len(outcome),
        n_missed=int((outcome == "missed").sum()),
        n_spurious=int((outcome == "spurious").sum()),
        notes=kept.notes() + ((f"{absent} cases of other ratios were not scored at this one",) if absent else ()),
    )


def _differences(
    dataset: str, metric: Metric, by_ratio: dict[float, Scores], margins: Margins, drawn: Resampling
) -> list[Difference]:
    """Every ratio against ratio 0, p-values adjusted over the ratios; empty without ratio 0."""
    if 0.0 not in by_ratio:
        return []
    rows = [
        _difference(
            Difference(dataset, metric.column, ratio, margin=margins.of(metric)), metric, by_ratio[0.0], scores, drawn
        )
        for ratio, scores in by_ratio.items()
        if ratio > 0
    ]
    tested = [row.p for row in rows if row.p is not None]
    adjusted = iter(holm(tested))
    return [row if row.p is None else replace(row, p_holm=next(adjusted)) for row in rows]


def _difference(row: Difference, metric: Metric, clean: Scores, noisy: Scores, drawn: Resampling) -> Difference:
    seeds = sorted(set(clean.seeds) & set(noisy.seeds))
    if not seeds:
        return replace(row, notes=("no seed was run at both ratios: nothing can be paired",))
    values = noisy.values[_rows(noisy, seeds)] - clean.values[_rows(clean, seeds)]
    if not np.isfinite(values).any():
        return replace(row, notes=("no case was scored at both ratios: nothing can be paired",))
    pairs = Scores(values, tuple(seeds), noisy.cases, noisy.subjects).trimmed()
    interval = pairs.interval(drawn)
    p, effect, words = signed_rank(case_means(pairs.values))
    alone = sorted(set(clean.seeds) ^ set(noisy.seeds))
    unpaired = (f"left out, not run at both ratios: seed {', '.join(map(str, alone))}",) if alone else ()
    return replace(
        row,
        difference=mean_over_cases(pairs.values),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n_cases=len(pairs.cases),
        n_seeds=len(pairs.seeds),
        p=p,
        rank_biserial=effect,
        verdict=_verdict(metric, row.margin, interval),
        notes=unpaired + pairs.notes() + words,
    )


def _rows(scores: Scores, seeds: list[int]) -> list[int]:
    return [scores.seeds.index(seed) for seed in seeds]


def signed_rank(differences: Floats) -> tuple[float, float, tuple[str, ...]]:
    """Wilcoxon's signed-rank test of paired differences and the matched-pairs rank-biserial correlation.

    Zero differences are left out of the ranks (Wilcoxon's rule), ties share a rank; differences are rounded to 1e-12 so
    that ties do not hang on the last bit. All zero: p is 1 and the correlation 0, by definition.

    Args:
        differences: (C,) one per case, without NaN.

    Returns:
        Two-sided p, correlation in -1 to 1 (1: every case rose; Kerby 2014, doi 10.2466/11.IT.3.1), words of caution.
    """
    moved = np.round(differences, 12)
    moved = moved[moved != 0]
    if not len(moved):
        return 1.0, 0.0, ("all differences are zero",)
    ranks = stats.rankdata(np.abs(moved))
    effect = float((ranks * np.sign(moved)).sum() / ranks.sum())
    p = float(stats.wilcoxon(moved).pvalue)
    least = 2.0 ** (1 - len(moved))
    few = (f"only {len(moved)} of the cases differ: p cannot fall below {least:.2g}",) if least > 0.05 else ()
    return p, effect, few


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): family-wise error over the given p-values, in their order."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = running
    return [float(p) for p in adjusted]


def _verdict(metric: Metric, margin: float | None, interval: Interval | None) -> Verdict:
    """Non-inferior: the worse end of the interval stays inside the margin; inferior: the better end leaves it."""
    if margin is None or metric.better is None:
        return "no margin"
    if interval is None:
        return "inconclusive"
    mildest, worst = sorted((metric.worsening(interval.low), metric.worsening(interval.high)))
    if worst < margin:
        return "non-inferior"
    return "inferior" if mildest > margin else "inconclusive"


def _tolerances(differences: Sequence[Difference]) -> list[Tolerance]:
    """Walk up the ratios of each data set and metric and stop at the first that is not shown to be non-inferior.

    A fixed order of tests needs no adjustment: each is made only when all before it succeeded.
    """
    tolerances = []
    for dataset, metric in dict.fromkeys((row.dataset, row.metric) for row in differences):
        tested = [row for row in differences if (row.dataset, row.metric) == (dataset, metric)]
        if (margin := tested[0].margin) is None:
            continue
        stop = next((row for row in tested if row.verdict != "non-inferior"), None)
        passed = [row.noise_ratio for row in tested if stop is None or row.noise_ratio < stop.noise_ratio]
        stopped_at, there = (stop.noise_ratio, stop.verdict) if stop else (None, None)
        tolerances.append(Tolerance(dataset, metric, margin, max(passed, default=None), stopped_at, there))
    return tolerances


def _numbered(names: Sequence[str]) -> NDArray[np.intp]:
    return np.asarray(np.unique(np.asarray(names), return_inverse=True)[1], dtype=np.intp)
