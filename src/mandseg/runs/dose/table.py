"""dose.csv of a run folder: the dose scores of its tested cases, with what they were made from.

A row has the data set and the case, the measures of both contours and their errors, and four columns that show whether
the row still holds: ``cases`` is the digest of the cases.csv, ``made_from`` that of all inputs, ``dose`` that of the
dose file, which was at ``dose_file``.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mandseg.data.image_files import files_of
from mandseg.metrics.dose.catalogue import ABSOLUTE, ERROR, Measure, columns_of, measures_of
from mandseg.runs.folder import RunFolder
from mandseg.runs.tables import read_table
from mandseg.system.errors import UserError

if TYPE_CHECKING:
    import pandas as pd  # a launch reads no table, so it does not import pandas

KEYS = ("run", "dataset", "case_id")
FURTHER = ("outside_ml", "voxel_ml")
"""Volume of the prediction outside the grid of the dose, which is left out of its measures; volume of a voxel."""
ORIGIN = ("cases", "made_from", "dose", "dose_file")
VOXEL_ML, OUTSIDE_ML = "dose_voxel_ml", "dose_outside_ml"
"""Names of ``FURTHER`` in the pooled cases of a study."""
AGAIN = "call mandseg dose again"


def columns(measures: Sequence[Measure]) -> list[str]:
    """The columns of dose.csv."""
    return [*KEYS, "outcome", "dice", *columns_of(measures), *FURTHER, *ORIGIN]


def with_dose(run: RunFolder, cases: "pd.DataFrame", problems: list[str]) -> "pd.DataFrame":
    """The cases of a run with their dose scores; unchanged if there are none, or none that still holds.

    Args:
        run: The run.
        cases: Its cases.csv.
        problems: The list gets a line for each reason why scores are left out.
    """
    if not run.dose_file.exists():
        return cases
    table, fault = _read(run)
    found = measures_of([]) if table is None else measures_of(table.columns)
    if table is None or fault or not found:
        problems.append(f"run {run.path.name}: {fault or f'{run.dose_file.name} has no dose score'}; {AGAIN}")
        return cases
    table = _without_changed(run, table, problems)
    scores = [*columns_of(found), *FURTHER]
    import pandas as pd

    kept = table[["dataset", "case_id"]].assign(
        **{name: pd.to_numeric(table[name], errors="coerce") for name in scores}
    )
    for measure in found:
        kept[measure.name + ABSOLUTE] = kept[measure.name + ERROR].abs()
    kept = kept.rename(columns=dict(zip(FURTHER, (OUTSIDE_ML, VOXEL_ML), strict=True)))
    return cases.merge(kept, on=["dataset", "case_id"], how="left", sort=False)


def file_digest(path: Path) -> str:
    """A digest of the content of all files of an image, 16 hexadecimal digits.

    Raises:
        UserError: A file is missing.
    """
    stamps = []
    for file in files_of(path):
        stat = file.stat()
        stamps.append((file, stat.st_size, stat.st_mtime_ns))
    return _digest(tuple(stamps))


@lru_cache(maxsize=4096)
def _digest(stamps: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for file, *_ in stamps:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]


def _read(run: RunFolder) -> "tuple[pd.DataFrame | None, str]":
    table = read_table(run.dose_file, [*KEYS, *FURTHER, *ORIGIN])
    if isinstance(table, str):
        return None, table
    if table.duplicated(["dataset", "case_id"]).any():
        return table, f"{run.dose_file.name} has a case twice"
    if set(table.cases) - {file_digest(run.cases_file)}:
        return table, f"{run.dose_file.name} was made before its {run.cases_file.name} and is left out"
    return table, ""


def _without_changed(run: RunFolder, table: "pd.DataFrame", problems: list[str]) -> "pd.DataFrame":
    """The rows whose dose is what it was; a dose that is not here cannot be compared and counts as unchanged."""
    changed = [_is_changed(Path(file), digest) for file, digest in zip(table.dose_file, table.dose, strict=True)]
    if any(changed):
        cases = sorted(set(table.case_id[changed]))
        what = f"the dose of {len(cases)} case{'' if len(cases) == 1 else 's'} changed (first: {cases[0]})"
        problems.append(f"run {run.path.name}: {what}, the old dose scores are left out; {AGAIN}")
    return table[[not one for one in changed]]


def _is_changed(file: Path, digest: str) -> bool:
    try:
        return file.is_file() and file_digest(file) != digest
    except (OSError, UserError):
        return False
