"""Annotators: bias and reliability of each one with intervals; displacements of labels in, a table and claims out.

Random-effects models (:mod:`mandseg.statistics.annotator_effect`): one for the whole surface and one for all regions
together. Means of annotators with few cases are shrunken to the mean of all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mandseg.audit.measurement import UNNAMED
from mandseg.ranking.displacements import ALL, bias_column, regions_in
from mandseg.report.wording import number, visible
from mandseg.statistics.annotator_effect import Effect, annotator_effects, region_effects
from mandseg.system.wording import count

FloatColumn = npt.NDArray[np.float64]

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
    the average annotator (from the logarithms): 1.2 means 20 % farther away, so less reliable. ``n_<part>``: cases
    with this part; an annotator without one has the mean that the model expects, with a wide interval.

    Args:
        labels: ``annotator, surface_mm``, ``bias_mm`` and ``bias_<region>_mm``; NaN where a value is missing.
    """
    named = labels[labels.annotator != UNNAMED]
    if len(named) < 2:
        return None
    names = sorted(set(named.annotator))
    parts = {ALL: _effects(named, bias_column(ALL), names), **_by_region(named, names)}
    columns: dict[str, Any] = {}
    for part in (ALL, *regions_in(labels)):
        columns |= _columns(f"bias_{part}_mm", parts.get(part, {}), names)
        columns[f"n_{part}"] = [parts[part][name].n if parts.get(part) else 0 for name in names]
    distances = _effects(named.assign(log=np.log(named.surface_mm.clip(lower=LEAST_MM))), "log", names)
    average = float(np.mean([effect.mean for effect in distances.values()])) if distances else 0.0
    ratio = _columns("distance_ratio", distances, names)
    columns |= {name: np.exp(column - average) for name, column in ratio.items()}
    n_cases = [int((named.annotator == name).sum()) for name in names]
    return pd.DataFrame({"annotator": names, "n_cases": n_cases, **columns})


def parts_in(table: pd.DataFrame) -> list[str]:
    """The parts of a table of annotators: the whole surface and its regions."""
    return [ALL, *regions_in(table)]


def claims(table: pd.DataFrame) -> list[str]:
    """One sentence for each annotator with an interval that excludes zero (a ratio: 1), from five cases or more."""
    lines = []
    for row in table.to_dict("records"):
        measured = [part for part in parts_in(table) if row[f"n_{part}"] >= FEWEST_CASES]
        parts = [_bias(row, part) for part in measured if _excludes(row, f"bias_{part}_mm", 0.0)]
        if row["n_cases"] >= FEWEST_CASES and _excludes(row, "distance_ratio", 1.0):
            low, high = number(row["distance_ratio_low"], 2), number(row["distance_ratio_high"], 2)
            parts.append(f"distances {number(row['distance_ratio'], 2)} times the average ({low} to {high})")
        if parts:
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


def _by_region(labels: pd.DataFrame, names: Sequence[str]) -> dict[str, dict[str, Effect]]:
    """Region to the effects of its annotators, from one model of the regions that some case has."""
    measured = {part: labels[bias_column(part)].astype(float) for part in regions_in(labels)}
    table = pd.DataFrame({part: values for part, values in measured.items() if values.notna().any()})
    table = table[table.notna().any(axis=1)]
    if len(table) < 2:
        return {}
    values = {str(name): own.to_numpy() for name, own in table.groupby(labels.annotator[table.index])}
    found = region_effects(values, names)
    return {str(part): {name: found[name][k] for name in names} for k, part in enumerate(table)}


def _columns(title: str, found: Mapping[str, Effect], names: Sequence[str]) -> dict[str, FloatColumn]:
    """The column of the means and those of the ends of their intervals."""
    ends = {"": "mean", "_low": "low", "_high": "high"}
    return {
        title + suffix: np.array([getattr(found[name], end) if name in found else np.nan for name in names])
        for suffix, end in ends.items()
    }


def _excludes(row: dict[Any, Any], column: str, value: float) -> bool:
    return bool(row[f"{column}_low"] > value or row[f"{column}_high"] < value)


def _bias(row: dict[Any, Any], part: str) -> str:
    mm = row[f"bias_{part}_mm"]
    decimals = visible(mm, 1)
    ends = " to ".join(number(row[f"bias_{part}_mm_{end}"], decimals, True) for end in ("low", "high"))
    place = "" if part == ALL else f"{CLAIMED_PARTS.get(part, part)} "
    return f"{place}{number(abs(mm), decimals)} mm {'outward' if mm > 0 else 'inward'} ({ends})"
