"""Whether predictions show where a label is wrong: voxels, regions and their references in, a table out."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mandseg.ranking.detection.figures import (
    RESAMPLES,
    Bools,
    Floats,
    auroc,
    auroc_of_counts,
    average_precision,
    average_precision_of_counts,
    ends,
    resamples,
)
from mandseg.ranking.displacements import bias_column, regions_in
from mandseg.ranking.words import SOME_MM

VOXELS, ALL_REGIONS = "voxels", "all regions"
WRONG_MM = SOME_MM  # mean displacement of a region from the reference from which on it is wrong, in any direction
FIGURES = {"auroc": auroc, "average_precision": average_precision}
LOW_AND_HIGH = tuple(f"{figure}_{end}" for figure in FIGURES for end in ("low", "high"))
COLUMNS = ("place", "n", "n_wrong", *FIGURES, *LOW_AND_HIGH)


def places_table(counts: Floats, judged: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """How well predictions find the wrong voxels and the wrong regions of labels.

    - ``voxels``: of the band, scored by the probability of the class that the label does not give; a voxel is wrong if
      the label differs from the reference. All cases together.
    - regions: scored by the mean displacement from the prediction in mm, in any direction; a region is wrong if its
      mean displacement from the reference is 1.5 mm or more. ``all regions``: all of them together.

    Columns: numbers of all and of wrong ones, AUROC and average precision with 95 % intervals (bootstrap over cases).
    The average precision of a random order is the share of wrong ones.

    Args:
        counts: (N, 2, S): right and wrong voxels of each case by score.
        judged: One row for each case, in the same order: ``bias_<region>_mm`` from the prediction; NaN where a region
            has no surface.
        truth: The same from the reference.
    """
    return pd.DataFrame([_voxels(counts), *_regions(judged, truth)], columns=list(COLUMNS))


def _voxels(counts: Floats) -> dict[str, Any]:
    n_cases, total = len(counts), counts.sum(axis=0)
    weights = np.random.default_rng(0).multinomial(n_cases, np.full(n_cases, 1 / n_cases), size=RESAMPLES)
    resampled = (weights @ counts.reshape(n_cases, -1)).reshape(RESAMPLES, *counts.shape[1:])
    figures = {"auroc": auroc_of_counts, "average_precision": average_precision_of_counts}
    found = {name: float(figure(total)) for name, figure in figures.items()}
    intervals = {name: ends(figure(resampled)) for name, figure in figures.items()}
    return _row(VOXELS, int(total.sum()), int(total[1].sum()), found, intervals)


def _regions(judged: pd.DataFrame, truth: pd.DataFrame) -> Iterator[dict[str, Any]]:
    regions = [region for region in regions_in(judged) if bias_column(region) in truth]
    columns = [bias_column(region) for region in regions]
    score, true_mm = (frame[columns].astype(float).abs().to_numpy() for frame in (judged, truth))  # (N, R)
    known, wrong = np.isfinite(score) & np.isfinite(true_mm), true_mm >= WRONG_MM
    whole = [(score[own][known[own]], wrong[own][known[own]]) for own in resamples(len(score))]
    resampled = {name: np.array([FIGURES[name](*drawn) for drawn in whole]) for name in FIGURES}
    yield _of_regions(ALL_REGIONS, score[known], wrong[known], resampled)
    for number, region in enumerate(regions):
        has = known[:, number]
        of_region, own = (score[has, number], wrong[has, number]), resamples(int(has.sum()))
        resampled = {name: figure(*(values[own] for values in of_region)) for name, figure in FIGURES.items()}
        yield _of_regions(region, *of_region, resampled)


def _of_regions(place: str, score: Floats, wrong: Bools, resampled: dict[str, Floats]) -> dict[str, Any]:
    found = {name: float(figure(score, wrong)) for name, figure in FIGURES.items()}
    return _row(place, len(score), int(wrong.sum()), found, {name: ends(values) for name, values in resampled.items()})


def _row(
    place: str, n: int, n_wrong: int, found: dict[str, float], intervals: dict[str, tuple[float, float]]
) -> dict[str, Any]:
    limits = zip(LOW_AND_HIGH, (end for name in FIGURES for end in intervals[name]), strict=True)
    return {"place": place, "n": n, "n_wrong": n_wrong} | found | dict(limits)
