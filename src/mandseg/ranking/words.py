"""Why a label is suspicious, in words: values and their distances from the cohort in; a reason and a hint out."""

from collections.abc import Mapping

import pandas as pd

from mandseg.ranking.scores.catalogue import measures_in
from mandseg.report.wording import number

NOTICEABLE = 2.5  # distance from the median in scales
MOST_REASONS = 3
SHORT_MM, LARGE_MM = -4.0, 3.0  # mean displacement of a region from the prediction that has a name
SOME_MM = 1.5  # that is worth saying
HINTS_OF_LABEL = (
    ("cut_above_mm2", 1, "upper ends missing: condyles or coronoid processes"),
    ("cut_below_mm2", 1, "lower border missing"),
    ("uneven_tops_mm", 1, "one side ends lower than the other"),
    ("apart_ml", 1, "separate pieces"),
    ("soft_share", 1, "soft tissue inside: drawn too large"),
    ("bone_beside_share", 1, "bone left out at the border: drawn too small"),
    ("height_to_length", -1, "upper ends missing: condyles or coronoid processes"),
    ("height_mm", -1, "too short from top to bottom"),
    ("height_mm", 1, "too long from top to bottom"),
)
WITHOUT_PLACE = ("apart_ml", "soft_share", "bone_beside_share")
"""Hints that a prediction cannot contradict by region."""
MISSING = {
    "condyle": "condyles missing",
    "coronoid": "coronoid processes missing",
    "ramus": "ramus too thin",
    "angle": "angle missing",
    "body": "body too thin",
    "teeth": "stops below the alveolar crest",
    "upper": "upper third too small",
    "middle": "middle third too small",
    "lower": "lower third too small",
}
TOO_LARGE = {
    "condyle": "drawn beyond the condyles",
    "coronoid": "drawn beyond the coronoid processes",
    "ramus": "ramus too thick",
    "angle": "drawn beyond the angle",
    "body": "body too thick",
    "teeth": "teeth included",
    "upper": "upper third too large",
    "middle": "middle third too large",
    "lower": "lower third too large",
}


def reasons(values: Mapping[str, float], away: Mapping[str, float], middle: "pd.Series[float]") -> str:
    """The most unusual measures of a label with the cohort's median, e.g. ``volume 31.0 ml (median 58.2)``.

    Args:
        values: The measures of the label.
        away: Their signed distances from the median.
        middle: The medians.
    """
    if not values["volume_ml"]:
        return "nothing is drawn"
    far = sorted((m for m in measures_in(away) if abs(away[m.name]) >= NOTICEABLE), key=lambda m: -abs(away[m.name]))
    return "; ".join(
        f"{m.title} {number(values[m.name], m.decimals)}, median {number(float(middle[m.name]), m.decimals)}"
        for m in far[:MOST_REASONS]
    )


def hint(away: Mapping[str, float], displacement_mm: Mapping[str, float]) -> str:
    """What seems to be wrong and where: by regions where there is a prediction, else by the measures of the label.

    Args:
        away: Distances of the measures from the median.
        displacement_mm: Region to the mean signed displacement of the label from the prediction; may be empty.
    """
    known = displacement_mm
    wrong = [(abs(mm), MISSING[r]) for r, mm in known.items() if mm <= SHORT_MM]
    wrong += [(abs(mm), TOO_LARGE[r]) for r, mm in known.items() if mm >= LARGE_MM]
    if wrong:
        return "; ".join(words for _, words in sorted(wrong, reverse=True)[:2])
    if known and max(map(abs, known.values())) >= SOME_MM:
        region = max(known, key=lambda name: abs(known[name]))
        return f"{region} {number(abs(known[region]), 1)} mm {'outward' if known[region] > 0 else 'inward'}"
    hints = [hint for hint in HINTS_OF_LABEL if not known or hint[0] in WITHOUT_PLACE]
    found = [(abs(away[name]), words) for name, sign, words in hints if sign * away.get(name, 0.0) >= NOTICEABLE]
    return max(found)[1] if found else ""
