"""Overlap of a label with a prediction of networks that do not know the case."""

from mandseg.ranking.judges.evidence import PROBABILITIES, Counts, Evidence


def dice_error(evidence: Evidence) -> float:
    """1 - Dice of the label and the predicted mask; the obvious score (Rhee et al. 2019, PMID 31505046)."""
    return 1 - float(evidence.agreement["dice"])


def soft_dice_error(counts: Counts) -> float:
    """1 - 2 sum(p y) / sum(p + y) in the band; 0 where nothing is drawn or predicted."""
    total = float(counts.sum(axis=0) @ PROBABILITIES + counts[1].sum())
    return 1 - 2 * float(counts[1] @ PROBABILITIES) / total if total else 0.0


def dice_error_less_disagreement(evidence: Evidence) -> float | None:
    """1 - Dice, less the disagreement of the networks: an image that is hard for them excuses a label.

    1 - mean Dice of each two networks is the best sign of a wrong prediction (Zenk et al. 2025, Med Image Anal 101).
    """
    return None if evidence.disagreement is None else dice_error(evidence) - evidence.disagreement
