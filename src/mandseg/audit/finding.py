"""The result of an audit in words: tables in, a headline and a few sentences out."""

import numpy as np
import pandas as pd

from mandseg.audit.measurement import UNNAMED
from mandseg.audit.tables import WORTH_SAYING_MM, bias_column, is_copy, mean_interval, regions_of
from mandseg.data.check import COPY_DICE
from mandseg.report.wording import number, visible
from mandseg.system.wording import count

N_NAMED = 3  # largest number of tendencies and cases named in the text
FEWEST_CASES = 5  # of a person; a person is named only if also the 95 % interval of the claim excludes zero
NOBODY = "the average contour without a recorded annotator"
LEFT_OUT = {
    "condyle": "leaves the condyles out",
    "coronoid": "leaves the coronoid processes out",
    "ramus": "draws the ramus too thin",
    "angle": "leaves the angle out",
    "body": "draws the body too thin",
    "teeth": "stops below the alveolar crest",
    "upper": "draws the upper third too small",
    "middle": "draws the middle third too small",
    "lower": "draws the lower third too small",
}
TOO_MUCH = {
    "condyle": "draws beyond the condyles",
    "coronoid": "draws beyond the coronoid processes",
    "ramus": "draws the ramus too thick",
    "angle": "draws beyond the angle",
    "body": "draws the body too thick",
    "teeth": "draws beyond the alveolar crest, into the teeth",
    "upper": "draws the upper third too large",
    "middle": "draws the middle third too large",
    "lower": "draws the lower third too large",
}


def headline(cases: pd.DataFrame) -> str:
    """One sentence: number of annotators and cases, agreement with the reference, and mean direction of the errors."""
    low, middle, high = cases.dice.quantile([0.05, 0.5, 0.95])
    agreement = f"median Dice {middle:.2f} (5th to 95th percentile: {low:.2f} to {high:.2f})"
    return f"{_who(cases)}, {count(len(cases), 'case')}: {agreement}; {_side(cases)}."


def sentences(cases: pd.DataFrame, annotators: pd.DataFrame) -> list[str]:
    """Sentences on the largest tendencies, on empty labels and extra pieces, and on the cases to correct first."""
    lines = [_range_of_annotators(annotators), _tendencies(cases, annotators), _flaws(cases), _first(cases)]
    return [line for line in lines if line]


def copies_left_out(cases: pd.DataFrame) -> str:
    """A sentence on the noisy labels that are copies of the reference; empty if there is none.

    Args:
        cases: All cases, with the copies.
    """
    copies = list(cases.case_id[is_copy(cases)])
    if not copies:
        return ""
    named = f"{', '.join(copies[:N_NAMED])}{', ...' if len(copies) > N_NAMED else ''}"
    if len(copies) == len(cases):
        return f"Every noisy label is a copy of its reference (Dice {COPY_DICE:g} or more): nothing was drawn twice."
    how = "is a copy of the reference and is" if len(copies) == 1 else "are copies of the reference and are"
    return f"{count(len(copies), 'noisy label')} {how} left out of all numbers (Dice {COPY_DICE:g} or more): {named}."


def _who(cases: pd.DataFrame) -> str:
    names = [name for name in cases.annotator.drop_duplicates() if name != UNNAMED]
    if not names:
        return "Annotators not recorded"
    n_unnamed = int((cases.annotator == UNNAMED).sum())
    unnamed = [f"not recorded in {count(n_unnamed, 'case')}"] if n_unnamed else []
    some, inside = (count(len(names), "annotator"), unnamed) if len(names) > 1 else ("One annotator", names + unnamed)
    return f"{some} ({'; '.join(inside)})" if inside else some


def _side(cases: pd.DataFrame) -> str:
    mean, low, high = mean_interval(cases, "bias_mm")
    if np.isnan(mean):
        return "there is no contour, so there is no bias"
    interval = "" if np.isnan(low) else f"95 % interval {number(low, 2, True)} to {number(high, 2, True)} mm"
    if low <= 0 <= high:
        return f"contours are neither clearly outward nor inward on average ({number(mean, 2, True)} mm, {interval})"
    side = f"contours are {number(abs(mean), visible(mean, 1))} mm {'outward' if mean > 0 else 'inward'} on average"
    return f"{side} ({interval})" if interval else side


def _range_of_annotators(annotators: pd.DataFrame) -> str:
    """The most inward and the most outward mean displacement of annotators, and whose they are if that is certain."""
    named = annotators[annotators.annotator != UNNAMED]
    known = named[(named.n_cases - named.n_empty >= FEWEST_CASES)].sort_values("bias_mm")
    if len(known) < 2:
        return ""
    ends = []
    for row in known.iloc[[0, -1]].to_dict("records"):
        whose = f" ({row['annotator']})" if row["bias_low_mm"] > 0 or row["bias_high_mm"] < 0 else ""
        bias = row["bias_mm"]
        ends.append(f"{number(bias, visible(bias, 1), True)} mm{whose}")
    return f"The mean displacement of annotators with {FEWEST_CASES} or more cases ranges from {ends[0]} to {ends[1]}."


def _tendencies(cases: pd.DataFrame, annotators: pd.DataFrame) -> str:
    """Name the annotators with the largest mean displacement of a region that is certain, and the region."""
    tendencies = []
    for name in annotators.annotator:
        own = cases[cases.annotator == name]
        biases = [
            (mean, region)
            for region in regions_of(cases)
            for mean, low, high in [mean_interval(own, bias_column(region))]
            if own[bias_column(region)].count() >= FEWEST_CASES and (low > 0 or high < 0)
        ]
        bias, region = max(biases, key=lambda pair: abs(pair[0]), default=(0.0, "body"))
        if abs(bias) >= WORTH_SAYING_MM:
            tendencies.append((bias, region, NOBODY if name == UNNAMED else name))
    tendencies.sort(key=lambda tendency: -abs(tendency[0]))
    parts = [
        f"{name} {(TOO_MUCH if bias > 0 else LEFT_OUT)[region]} ({number(bias, 1, True)} mm)"
        for bias, region, name in tendencies[:N_NAMED]
    ]
    if others := len(tendencies) - len(parts):
        verb = "has" if others == 1 else "have"
        limit = f"a mean displacement of {WORTH_SAYING_MM:g} mm or more in a region"
        parts.append(f"{count(others, 'other annotator')} {verb} {limit}")
    text = "; ".join(parts)
    if text.startswith(NOBODY):
        text = text[0].upper() + text[1:]
    return f"{text}." if text else ""


def _flaws(cases: pd.DataFrame) -> str:
    missed, spurious = (int((cases.outcome == outcome).sum()) for outcome in ("missed", "spurious"))
    pieces = int((cases.noisy_pieces > cases.reference_pieces).sum())
    parts = [f"{count(missed, 'contour')} {'is' if missed == 1 else 'are'} empty"] if missed else []
    parts += [f"{count(spurious, 'reference')} {'is' if spurious == 1 else 'are'} empty"] if spurious else []
    if pieces:
        parts.append(f"{count(pieces, 'contour')} {'has' if pieces == 1 else 'have'} more pieces than the reference")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _first(cases: pd.DataFrame) -> str:
    top = cases[cases.nsd_2mm < 1].head(N_NAMED)
    named = [row["case_id"] + (f" ({row['why']})" if row["why"] else "") for row in top.to_dict("records")]
    return f"Correct first: {', '.join(named)}." if named else ""
