"""The order in which cases are corrected: the known rankings, and a file with an own one."""

import csv
from pathlib import Path

from mandseg.system.errors import UserError, one_line
from mandseg.system.wording import expected_one_of, similar_path

RANKINGS = ("random", "stratified", "oracle")


def read_ranking(file: Path) -> list[str]:
    """The column ``case_id`` of a CSV file, in the order of its rows.

    Raises:
        UserError: There is no such file or column.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = similar_path(file) if not file.exists() else f"; it is {'a folder' if file.is_dir() else one_line(error)}"
        known = expected_one_of(str(file), RANKINGS)
        raise UserError(f"ranking={file}: {known}, or a CSV file that is there and can be read{why}") from error
    if not rows or "case_id" not in rows[0]:
        raise UserError(f"ranking={file}: expected a CSV file with the column case_id, and a row for each case")
    if {"case_id", "split", "image", "reference"} <= rows[0].keys():
        raise UserError(
            f"ranking={file}: is a manifest, which has no order; expected e.g. the ranking.csv of mandseg rank"
        )
    return [row["case_id"] or "" for row in rows]
