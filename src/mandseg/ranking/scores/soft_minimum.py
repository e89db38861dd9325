"""Soft minimum of the probabilities of the labels in the band."""

import numpy as np

from mandseg.ranking.judges.evidence import PROBABILITIES, Counts

TEMPERATURE = 0.1


def soft_minimum(counts: Counts) -> float:
    """1 - sum of s softmax((1 - s) / T) over the band, s = p of the given label; 0 for an empty band.

    Lad and Mueller 2023, arXiv 2307.05080; T = 0.1 as in cleanlab. In 3D it counts the wrong voxels on a scale that
    saturates: a voxel with s = 0 weighs e^10 times a right one.
    """
    s = np.concatenate([1 - PROBABILITIES, PROBABILITIES])
    n = counts.ravel()
    if not n.sum():
        return 0.0
    weights = n * np.exp(-s / TEMPERATURE)
    return 1 - float(weights @ s / weights.sum())
