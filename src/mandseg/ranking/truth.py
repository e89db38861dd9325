"""The true errors of ranked labels, where a case also has a reference: cases in, errors against the references out."""

from collections.abc import Sequence

import pandas as pd

from mandseg.audit.pair import load_pair
from mandseg.data.case import Case
from mandseg.data.ranked.label import is_trusted
from mandseg.metrics.agreement import score
from mandseg.noise import Recorded
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each

WORST = 1 / 3  # share of the labels that counts as wrong where every label differs from its reference
RIGHT_MM = 1e-6
LEAST_CASES = 5  # below, no table is made


def true_errors(cases: Sequence[Case], workers: int | None = None) -> pd.DataFrame:
    """``case_id, true_dice_error, true_surface_mm`` (ASSD) of each case with both labels that is not trusted.

    Raises:
        UserError: Files cannot be used; one line each.
    """
    both = [case for case in cases if case.noisy is not None and case.reference is not None and not is_trusted(case)]
    rows = list(for_each(_row, both, "Comparing with references", workers))
    if problems := [line for row in rows if isinstance(row, list) for line in row]:
        raise UserError(problems)
    return pd.DataFrame(rows, columns=["case_id", "true_dice_error", "true_surface_mm"])


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
    return {
        "case_id": case.case_id,
        "true_dice_error": 1 - float(found["dice"]),
        "true_surface_mm": float(found["assd_mm"]),
    }
