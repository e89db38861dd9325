"""Distances between the surfaces of a label and of a prediction."""

from mandseg.ranking.judges.evidence import Evidence


def surface_mm(evidence: Evidence) -> float:
    """Mean distance of both surfaces (ASSD), in mm; the diagonal of the window if one of both is empty."""
    return float(evidence.agreement["assd_mm"])


def surface95_mm(evidence: Evidence) -> float:
    """95th percentile of the distance (HD95), in mm; as above."""
    return float(evidence.agreement["hd95_mm"])


def redrawn_share(evidence: Evidence) -> float:
    """Share of both surfaces more than 2 mm apart: what would be redrawn (Vaassen 2020, 10.1016/j.phro.2019.12.001)."""
    return 1 - float(evidence.agreement["nsd_2mm"])
