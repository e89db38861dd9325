"""Confident learning: share of the voxels that are confidently of the other class."""

from collections.abc import Iterable

import numpy as np

from mandseg.ranking.judges.evidence import PROBABILITIES, Counts
from mandseg.training.relabelling.confident_learning import mislabelled


def thresholds(counts: Iterable[Counts]) -> tuple[float, float]:
    """For each class its mean probability over the voxels with its label, over the bands of all cases.

    Northcutt et al. 2021, arXiv 1911.00068; as :mod:`mandseg.training.relabelling.confident_learning`.
    """
    total = np.sum(list(counts), axis=0)
    n = np.maximum(total.sum(axis=1), 1)
    return float(total[0] @ (1 - PROBABILITIES) / n[0]), float(total[1] @ PROBABILITIES / n[1])


def confident_share(counts: Counts, threshold_0: float, threshold_1: float) -> float:
    """Share of the band that is confidently of the other class; 0 for an empty band."""
    wrong = [
        int(counts[y] @ mislabelled(PROBABILITIES, np.full(len(PROBABILITIES), y, np.uint8), threshold_0, threshold_1))
        for y in (0, 1)
    ]
    return sum(wrong) / max(int(counts.sum()), 1)
