"""The true errors of ranked labels, where a case also has a reference: cases in, errors against the references out."""

from collections.abc import Sequence

import pandas as pd

from mandseg.audit.measurement import UNNAMED, division_of
from mandseg.audit.pair import load_pair
from mandseg.data.case import Case
from mandseg.data.ranked.label import is_trusted
from mandseg.metrics.agreement import score
from mandseg.noise import Recorded
from mandseg.ranking.displacements import bias_column, displacements_mm
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each

WORST = 1 / 3  # share of the labels that counts as wrong where every label differs from its reference
RIGHT_MM = 1e-6
LEAST_CASES = 5  # below, no table is made
COLUMNS = ("case_id", "annotator", "trusted", "true_dice_error", "surface_mm", "bias_mm")
"""Of every table; the parts of the structure follow."""


def measured_pairs(cases: Sequence[Case], workers: int | None = None) -> pd.DataFrame:
    """The noisy label of each case against its reference, where a case has both.

    Columns: ``case_id, annotator, trusted, true_dice_error, surface_mm`` (ASSD), ``bias_mm`` and
    ``bias_<region>_mm``: the mean signed displacement over the surface of the reference, positive outward.

    Raises:
        UserError: Files cannot be used; one line each.
    """
    both = [case for case in cases if case.noisy is not None and case.reference is not None]
    rows = list(for_each(_row, both, "Comparing with references", workers))
    if problems := [line for row in rows if isinstance(row, list) for line in row]:
        raise UserError(problems)
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(COLUMNS))


def wrong_labels(error_mm: "pd.Series[float]") -> "pd.Series[bool]":
    """Which labels count as wrong: those unlike their reference; if all are, the third that differs most."""
    differs = error_mm > RIGHT_MM
    return differs if not differs.all() else error_mm > error_mm.quantile(1 - WORST)


def _row(case: Case) -> dict[str, object] | list[str]:
    try:
        pair = load_pair(case, Recorded())
    except UserError as error:
        return error.problems
    found = score(pair.noisy, pair.reference, pair.spacing_mm)
    moved = displacements_mm(pair.noisy, pair.reference, pair.spacing_mm, division_of(case))
    return {
        "case_id": case.case_id,
        "annotator": case.annotator or UNNAMED,
        "trusted": int(is_trusted(case)),
        "true_dice_error": 1 - float(found["dice"]),
        "surface_mm": float(found["assd_mm"]),
        **{bias_column(part): mm for part, mm in moved.items()},
    }
