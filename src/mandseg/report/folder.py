"""The folder of a report, and what can be refused before a library is imported or a run is read."""

import re
from collections.abc import Sequence
from pathlib import Path

from mandseg.runs.grid_file import GRID, refuse_no_study
from mandseg.statistics.columns import COMPARABLE, RATIO_COLUMN
from mandseg.system.errors import UserError
from mandseg.system.files import Kind, refuse_foreign_files
from mandseg.system.wording import expected_one_of

SHARED = "shared"
"""The folder of a report that ``mandseg sync`` sends. It sends nothing else of a report."""
FIGURE_TYPES = ("svg", "png", "pdf")
"""File types of the figures. The first is always written."""
FOLDER = Kind(
    "a report",
    "choose an empty folder with --out",
    frozenset({"index.html", "methods.md", "summary.csv", "differences.csv", "cases.csv"}),
    re.compile(
        rf"({SHARED}/)?("
        r"index\.html|report\.pdf|methods\.md|(summary|differences|cases)\.csv"
        r"|figures/(arm\d+-)?(curve|forest|learning|noise)-\w+\.(svg|pdf|png)"
        r"|figures/(arm\d+-)?(response|cases|case-differences|seeds|memorisation|dose)\.(svg|pdf|png)"
        r"|tables/(arm\d+-)?(means|differences|dose)-.+\.(csv|tex)"
        r"|tables/(arm\d+-)?(verdicts|verdicts-by-group|tolerances|tolerances-other|gaps|interactions|missed"
        r"|without-missed|noise-applied|matrix|not-done|cost|runs)\.(csv|tex)"
        r"|tables/(tolerated|crossings|mixed|contrasts-gap|contrasts-interaction)\.csv)"
    ),
)


def checked_folder(study: Path, out: Path | None, compare: str, formats: Sequence[str] = ()) -> Path:
    """The folder that a report is written to: ``out``, or ``report`` or ``report-<compare>`` in the study.

    Raises:
        UserError: The study holds no run, the column or a file type does not exist, or the folder holds files that no
            report wrote.
    """
    if compare not in COMPARABLE:
        raise UserError(f"--compare {compare}: {expected_one_of(compare, COMPARABLE)}")
    if unknown := [name for name in formats if name not in FIGURE_TYPES]:
        raise UserError(f"--formats {unknown[0]}: expected some of {', '.join(FIGURE_TYPES)}")
    refuse_no_study(study)
    if out is not None and (out.parent / GRID).is_file() and not out.parent.samefile(study):
        raise UserError(f"{out}: is in another study, {out.parent}; {FOLDER.advice}")
    folder = out or study / ("report" if compare == RATIO_COLUMN else f"report-{compare}")
    refuse_foreign_files(folder, FOLDER)
    return folder
