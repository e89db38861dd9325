"""Scores of labels against predictions: evidence in, the columns of ranking.csv out."""

from collections.abc import Mapping, Sequence

import pandas as pd

from mandseg.data.case import Case
from mandseg.ranking.displacements import bias_column
from mandseg.ranking.judges.evidence import Evidence
from mandseg.ranking.scores.annotator import annotator_bias_mm
from mandseg.ranking.scores.confident_count import confident_share, thresholds
from mandseg.ranking.scores.cross_entropy import cross_entropy_less_entropy
from mandseg.ranking.scores.overlap import dice_error, dice_error_less_disagreement, soft_dice_error
from mandseg.ranking.scores.soft_minimum import soft_minimum
from mandseg.ranking.scores.surface import redrawn_share, surface95_mm, surface_mm


def scores_of(evidence: Evidence, limits: tuple[float, float]) -> dict[str, float | None]:
    """The scores of one label, and its displacement by region.

    Args:
        evidence: The label against its prediction.
        limits: The thresholds of confident learning, from :func:`limits_of`.
    """
    return {
        "dice_error": dice_error(evidence),
        "soft_dice_error": soft_dice_error(evidence.counts),
        "surface_mm": surface_mm(evidence),
        "surface95_mm": surface95_mm(evidence),
        "redrawn_share": redrawn_share(evidence),
        "cross_entropy": cross_entropy_less_entropy(evidence.counts),
        "soft_minimum": soft_minimum(evidence.counts),
        "confident_share": confident_share(evidence.counts, *limits),
        "less_disagreement": dice_error_less_disagreement(evidence),
        "disagreement": evidence.disagreement,
        **{bias_column(part): mm for part, mm in evidence.displacement_mm.items()},
    }


def limits_of(found: Mapping[str, Evidence]) -> tuple[float, float]:
    """The thresholds of confident learning over all judged cases."""
    return thresholds(evidence.counts for evidence in found.values())


def judged_table(cases: Sequence[Case], found: Mapping[str, Evidence]) -> pd.DataFrame:
    """One row for each judged case: ``case_id`` and the scores; ``annotator_bias_mm`` from all of them together."""
    limits = limits_of(found)
    table = pd.DataFrame([{"case_id": name, **scores_of(evidence, limits)} for name, evidence in found.items()])
    annotators = {case.case_id: case.annotator for case in cases}
    biases = [None if pd.isna(mm) else float(mm) for mm in table.bias_mm]
    return table.assign(annotator_bias_mm=annotator_bias_mm([annotators[name] for name in table.case_id], biases))
