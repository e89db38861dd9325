"""The bias of a label's annotator."""

from collections.abc import Sequence

from mandseg.statistics.annotator_effect import annotator_effects

UNNAMED = ""


def annotator_bias_mm(annotators: Sequence[str], displacement_mm: Sequence[float | None]) -> list[float]:
    """|shrunken mean displacement| of the annotator of each label, in mm.

    Args:
        annotators: Of each label; empty if not recorded.
        displacement_mm: Mean signed displacement of each label from its prediction; None where there is none.

    Returns:
        0 for labels without an annotator, and for all labels if fewer than two values are known.
    """
    values: dict[str, list[float]] = {name: [] for name in annotators if name != UNNAMED}
    for name, mm in zip(annotators, displacement_mm, strict=True):
        if name != UNNAMED and mm is not None:
            values[name].append(mm)
    if sum(map(len, values.values())) < 2:
        return [0.0] * len(annotators)
    effects = annotator_effects(values, values)
    return [abs(effects[name].mean) if name != UNNAMED else 0.0 for name in annotators]
