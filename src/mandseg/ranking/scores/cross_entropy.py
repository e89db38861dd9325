"""Cross-entropy less entropy: the score of active label cleaning."""

import numpy as np

from mandseg.ranking.judges.evidence import PROBABILITIES, STEPS, Counts

NEAREST = 0.5 / STEPS  # smallest distance of a probability from 0 and 1: half a step


def cross_entropy_less_entropy(counts: Counts) -> float:
    """Mean over the band of CE(y, p) - H(p); 0 for an empty band.

    Bernhardt et al. 2022, Nat Commun 13:1161: disagreement counts, and the entropy forgives images that are hard.
    """
    p = np.clip(PROBABILITIES, NEAREST, 1 - NEAREST)
    of_bone, of_rest = -np.log(p), -np.log1p(-p)
    entropy = p * of_bone + (1 - p) * of_rest
    total = float(counts[1] @ of_bone + counts[0] @ of_rest - counts.sum(axis=0) @ entropy)
    return total / max(int(counts.sum()), 1)
