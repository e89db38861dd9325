"""The tables of an audit: measurements in; tables of cases (worst first), annotators and regions out."""

import re
from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np
import pandas as pd
from scipy import stats

from mandseg.audit.measurement import Displacement, Measurement
from mandseg.data.check import COPY_DICE
from mandseg.metrics.outcome import WORST_CASE

WORTH_SAYING_MM = 2.0  # mean displacement of a region
WORTH_SAYING_BIAS_MM = 1.0  # of the whole contour
WORTH_SAYING_ML = 0.5  # volume of separate pieces
CONFIDENCE = 0.95
NO_REGION = ("low", "high")  # of the interval of the mean bias


def cases_table(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """One row for each case, the case to correct first on top. Columns as in docs/audit.md.

    Order: first cases in which only one label is empty, then by the share of both surfaces that lies more than 2 mm
    from the other (1 - ``nsd_2mm``). This share has to be redrawn, and it predicts the time of correction better than
    Dice does (Vaassen 2020, doi 10.1016/j.phro.2019.12.001). Ties are ordered by HD95, then by name.
    """
    regions = list(dict.fromkeys(region for measurement in measurements for region in measurement.regions))
    rows = [_row(measurement, regions) for measurement in measurements]
    table = pd.DataFrame(rows).sort_values(
        ["empty", "nsd_2mm", "hd95_mm", "case_id"], ascending=[False, True, False, True], ignore_index=True
    )
    table.insert(0, "correct_first", np.arange(1, len(table) + 1))
    return table.drop(columns="empty")


def annotators_table(cases: pd.DataFrame) -> pd.DataFrame:
    """One row for each annotator, the lowest median surface Dice at 2 mm on top.

    ``bias_low_mm`` and ``bias_high_mm`` are the 95 % interval of the mean bias (:func:`mean_interval`).
    """
    groups = cases.groupby("annotator", sort=True)
    medians = groups[["dice", "hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm"]].median().add_suffix("_median")
    means = groups[["volume_bias_ml", "volume_bias_percent", "bias_mm", *map(bias_column, regions_of(cases))]].mean()
    table = pd.concat(
        [
            groups.size().rename("n_cases"),
            groups.outcome.agg(lambda outcome: int((outcome != "scored").sum())).rename("n_empty"),
            groups.apply(lambda own: int((own.noisy_pieces > own.reference_pieces).sum())).rename("n_in_more_pieces"),
            groups.dice.agg(dice_lowest="min", dice_highest="max"),
            medians,
            means,
            groups.apply(lambda own: mean_interval(own, "bias_mm")[1]).rename("bias_low_mm"),
            groups.apply(lambda own: mean_interval(own, "bias_mm")[2]).rename("bias_high_mm"),
        ],
        axis=1,
    ).reset_index()
    return table.sort_values(["nsd_2mm_median", "annotator"], ignore_index=True)


def regions_of(table: pd.DataFrame) -> list[str]:
    """The regions of a table of cases or annotators, in the order of its columns."""
    named = [name[len("bias_") : -len("_mm")] for name in table.columns if re.fullmatch("bias_.+_mm", name)]
    return [region for region in named if region not in NO_REGION]


def bias_column(region: str) -> str:
    """The column of the mean displacement of a region."""
    return f"bias_{region}_mm"


def regions_table(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """One row for each case and region, and one for the whole surface (``all``), in the given order."""
    columns = ["case_id", "annotator", *(field.name for field in fields(Displacement))]
    rows = [
        {"case_id": m.case_id, "annotator": m.annotator, **asdict(d), "region": d.region or "all"}
        for m in measurements
        for d in m.displacements
    ]
    return pd.DataFrame(rows, columns=columns)


def is_copy(cases: pd.DataFrame) -> "pd.Series[bool]":
    """Whether the noisy label of each case is the reference itself: nobody draws the same contour twice."""
    return (cases.outcome == "scored") & (cases.dice >= COPY_DICE)


def mean_interval(cases: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Mean of a column over cases with its 95 % interval by Student's t.

    The cases of one subject are not independent: their deviations from the mean are added up before they are squared
    (the standard error of clusters). With one case of each subject this is the usual interval.

    Args:
        cases: ``subject_id`` and the column; cases without a value do not count.
        column: The column.

    Returns:
        Mean and ends; the mean is NaN without values, the interval with fewer than two subjects.
    """
    known = cases[cases[column].notna()]
    values = known[column].astype(float)
    mean, n_subjects = float(values.mean()), known.subject_id.nunique()
    if n_subjects < 2:
        return mean, np.nan, np.nan
    sums = (values - mean).groupby(known.subject_id).sum()
    error = np.sqrt(n_subjects / (n_subjects - 1) * float((sums**2).sum())) / len(values)
    reach = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, n_subjects - 1))
    return mean, mean - reach, mean + reach


def _row(measurement: Measurement, regions: Sequence[str]) -> dict[str, object]:
    row = {name: value for name, value in asdict(measurement).items() if name not in ("displacements", "regions")}
    biases = {d.region: d.bias_mm for d in measurement.displacements}
    row |= {"bias_mm": biases.get(None)} | {bias_column(region): biases.get(region) for region in regions}
    return row | {"why": "; ".join(_reasons(measurement)), "empty": measurement.outcome in WORST_CASE}


def _reasons(measurement: Measurement) -> list[str]:
    """The large deviations of a case, in words."""
    if measurement.outcome != "scored":
        return [
            {
                "missed": "nothing is drawn",
                "spurious": "drawn where the reference is empty",
                "both_empty": "both labels are empty",
            }[measurement.outcome]
        ]
    if measurement.dice >= COPY_DICE:
        return ["a copy of the reference"]
    whole = measurement.displacement()
    reasons = []
    if measurement.noisy_pieces > measurement.reference_pieces and measurement.apart_ml >= WORTH_SAYING_ML:
        reasons.append(f"{measurement.apart_ml:.1f} ml in separate pieces")
    if whole and abs(whole.bias_mm) >= WORTH_SAYING_BIAS_MM:
        reasons.append(f"{'outward' if whole.bias_mm > 0 else 'inward'} by {abs(whole.bias_mm):.1f} mm")
    regional = [d for d in measurement.displacements if d.region and abs(d.bias_mm) >= WORTH_SAYING_MM]
    regional.sort(key=lambda d: -abs(d.bias_mm))
    return reasons + [f"{d.region} {d.bias_mm:+.1f} mm".replace("-", "\N{MINUS SIGN}") for d in regional[:2]]
