"""Annotators: bias and reliability of each one with intervals; displacements of labels in, a table and claims out.

A random-effects model (:mod:`mandseg.statistics.annotator_effect`) for the whole surface and for each region: value
of a case = mean + annotator + case. Means of annotators with few cases are shrunken to the mean of all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mandseg.ranking.displacements import ALL, bias_column, regions_in
from mandseg.ranking.label_table import UNNAMED
from mandseg.report.wording import number
from mandseg.statistics.annotator_effect import Effect, annotator_effects
from mandseg.system.wording import count

FEWEST_CASES = 5  # for a claim about a person
LEAST_MM = 0.1  # smallest distance whose logarithm is taken: a label equal to its reference has 0
CLAIMED_PARTS = {"condyle": "condyles", "coronoid": "coronoid processes", "teeth": "alveolar crest"}


@dataclass(frozen=True)
class Annotators:
    """What is known of the annotators of a cohort.

    Args:
        table: From :func:`annotator_table`.
        against: What the labels were compared with, e.g. ``the references of 36 cases``.
        claims: From :func:`claims`.
        is_relative: Whether the comparison is with networks that learned from the same annotators.
    """

    table: pd.DataFrame
    against: str
    claims: Sequence[str]
    is_relative: bool


def annotator_table(labels: pd.DataFrame) -> pd.DataFrame | None:
    """One row for each annotator that is recorded; None with fewer than two labels.

    ``bias_<part>_mm`` is the shrunken mean displacement over the surface or a region, positive outward, with the ends
    of its 95 % interval ``..._low`` and ``..._high``. ``distance_ratio``: mean distance of the surfaces, relative to
    the average annotator (from the logarithms): 1.2 means 20 % farther away, so less reliable.

    Args:
        labels: ``annotator, surface_mm``, ``bias_mm`` and ``bias_<region>_mm``; NaN where a value is missing.
    """
    named = labels[labels.annotator != UNNAMED]
    if len(named) < 2:
        return None
    names = sorted(set(named.annotator))
    columns: dict[str, list[float]] = {}
    for part in (ALL, *regions_in(labels)):
        found = _effects(named, bias_column(part), names)
        for end in ("mean", "low", "high"):
            suffix = "" if end == "mean" else f"_{end}"
            columns[f"bias_{part}_mm{suffix}"] = [getattr(found[n], end) if n in found else np.nan for n in names]
    logs = np.log(named.surface_mm.clip(lower=LEAST_MM))
    found = _effects(named.assign(log=logs - logs.mean()), "log", names)
    for end in ("mean", "low", "high"):
        suffix = "" if end == "mean" else f"_{end}"
        columns[f"distance_ratio{suffix}"] = [
            float(np.exp(getattr(found[n], end))) if n in found else np.nan for n in names
        ]
    n_cases = [int((named.annotator == name).sum()) for name in names]
    return pd.DataFrame({"annotator": names, "n_cases": n_cases, **columns})


def parts_in(table: pd.DataFrame) -> list[str]:
    """The parts of a table of annotators: the whole surface and its regions."""
    return [ALL, *regions_in(table)]


def claims(table: pd.DataFrame) -> list[str]:
    """One sentence for each annotator with five cases or more and an interval that excludes zero (a ratio: 1)."""
    lines = []
    for row in table.to_dict("records"):
        parts = [_bias(row, part) for part in parts_in(table) if _excludes(row, f"bias_{part}_mm", 0.0)]
        if _excludes(row, "distance_ratio", 1.0):
            low, high = number(row["distance_ratio_low"], 2), number(row["distance_ratio_high"], 2)
            parts.append(f"distances {number(row['distance_ratio'], 2)} times the average ({low} to {high})")
        if row["n_cases"] >= FEWEST_CASES and parts:
            lines.append(f"{row['annotator']}, {count(row['n_cases'], 'case')}: {'; '.join(parts)}.")
    return lines


def annotators_of(labels: pd.DataFrame, against: str, is_relative: bool) -> Annotators | None:
    """What is known of the annotators; None where no annotator is recorded.

    Args:
        labels: As for :func:`annotator_table`.
        against: What the labels were compared with.
        is_relative: Whether that is a prediction of networks that learned from the same annotators.
    """
    table = annotator_table(labels)
    return None if table is None else Annotators(table, against, claims(table), is_relative)


def _effects(labels: pd.DataFrame, column: str, names: Sequence[str]) -> dict[str, Effect]:
    known = labels[labels[column].notna()]
    values = {str(name): list(own[column].astype(float)) for name, own in known.groupby("annotator")}
    return annotator_effects(values, names) if len(known) >= 2 else {}


def _excludes(row: dict[Any, Any], column: str, value: float) -> bool:
    return bool(row[f"{column}_low"] > value or row[f"{column}_high"] < value)


def _bias(row: dict[Any, Any], part: str) -> str:
    mm = row[f"bias_{part}_mm"]
    ends = " to ".join(number(row[f"bias_{part}_mm_{end}"], 1, True) for end in ("low", "high"))
    place = "" if part == ALL else f"{CLAIMED_PARTS.get(part, part)} "
    return f"{place}{number(abs(mm), 1)} mm {'outward' if mm > 0 else 'inward'} ({ends})"
