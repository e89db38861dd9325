"""The measures of all labels of a cohort: cases in, a table with one row for each case out. No network is needed."""

from collections.abc import Sequence

import pandas as pd

from mandseg.audit.measurement import UNNAMED
from mandseg.data.case import Case
from mandseg.data.ranked.label import is_trusted
from mandseg.ranking.drawn_label import read_label
from mandseg.ranking.scores.catalogue import measure_label
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each


def label_table(cases: Sequence[Case], workers: int | None = None) -> pd.DataFrame:
    """Measure the label of each case.

    Returns:
        ``case_id, subject_id, split, annotator, trusted`` and the measures of the catalogue; NaN where a measure cannot
        be made.

    Raises:
        UserError: Files cannot be used; one line for each problem of all cases.
    """
    rows = list(for_each(_row_or_problems, cases, "Measuring labels", workers))
    if problems := [line for row in rows if isinstance(row, list) for line in row]:
        raise UserError(problems)
    return pd.DataFrame(rows)


def identity(case: Case) -> dict[str, object]:
    """The columns that say which case a row is of."""
    return {
        "case_id": case.case_id,
        "subject_id": case.subject_id,
        "split": case.split,
        "annotator": case.annotator or UNNAMED,
        "trusted": int(is_trusted(case)),
    }


def _row_or_problems(case: Case) -> dict[str, object] | list[str]:
    try:
        return identity(case) | measure_label(read_label(case))
    except UserError as error:
        return error.problems
