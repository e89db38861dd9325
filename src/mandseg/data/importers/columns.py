"""Reads cases from a table; the user names its columns, or they are guessed."""

from collections.abc import Mapping
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import plain_name
from mandseg.data.manifest import COLUMNS, DOSE
from mandseg.data.spreadsheet import Row, read_table
from mandseg.data.volume import is_image_file
from mandseg.system.errors import UserError

GUESSES: dict[str, tuple[str, ...]] = {
    "case_id": ("caseid", "case", "id", "name", "scanid", "scan", "patientid", "patient", "subjectid", "subject"),
    "subject_id": ("subjectid", "subject", "patientid", "patient", "person"),
    "split": ("split", "set", "subset", "partition"),
    "image": ("image", "ct", "img", "volume", "imagepath", "ctpath"),
    "reference": ("reference", "mandible", "label", "mask", "segmentation", "seg", "groundtruth", "gt"),
    "noisy": ("noisy", "noisylabel", "rough", "roughlabel"),
    "annotator": ("annotator", "reader", "rater", "observer", "dosimetrist"),
    DOSE: ("dose", "rtdose", "dosepath", "planneddose"),
}
"""Names to look for, best first, in the form of ``plain_name``."""

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "ts"), "test"),
}


def read_drafts(path: Path, given: Mapping[str, str]) -> list[Case]:
    """Read a CSV file with one row for each case; paths are relative to the file, further columns become groups.

    Args:
        path: The CSV file.
        given: The user's names for some of our columns, e.g. ``{"reference": "mandible"}``.

    Returns:
        Cases as the table states them; ``split`` is empty if there is no such column.

    Raises:
        UserError: A given column is missing, a needed one cannot be guessed, or a split is unknown.
    """
    header, rows = read_table(path)
    columns = choose_columns(path, header, given)
    further = [name for name in header if name and name not in columns.values() and name not in (*COLUMNS, DOSE)]
    if "image" not in columns and (unused := _columns_of_images(path.parent, rows, further)):
        raise UserError(f"{path}: give --image, it cannot be guessed; the column {unused[0]} names image files")
    drafts = [_draft(row, columns, further, path.parent) for row in rows]
    known = set(SPLIT_NAMES.values())
    problems = [
        f"{path}: case {draft.case_id}: {columns['split']} is {draft.split!r}, expected one of {', '.join(SPLIT_NAMES)}"
        for draft in drafts
        if "split" in columns and draft.split not in known
    ]
    if problems:
        raise UserError(problems)
    return drafts


def choose_columns(path: Path, header: list[str], given: Mapping[str, str]) -> dict[str, str]:
    """Match our columns to the table's: as the user gave them, otherwise the first guess that exists."""
    problems = [
        f"{path}: no column {name!r} (given as the {ours}), the file has: {', '.join(header)}"
        for ours, name in given.items()
        if name not in header
    ]
    if problems:
        raise UserError(problems)
    plain = {plain_name(name): name for name in reversed(header)}
    columns = dict(given)
    for ours, guesses in GUESSES.items():
        found = next((plain[guess] for guess in guesses if guess in plain), None)
        if found and ours not in columns and not _is_taken(found, ours, columns):
            columns[ours] = found
    if "case_id" not in columns or not {"reference", "noisy"} & columns.keys():
        lacking = "--case-id" if "case_id" not in columns else "--reference"
        raise UserError(f"{path}: give {lacking}, it cannot be guessed from the columns: {', '.join(header)}")
    return columns


def _columns_of_images(root: Path, rows: list[Row], columns: list[str]) -> list[str]:
    """The columns in which each cell names an image file that is there."""
    return [name for name in columns if rows and all(row[name] and is_image_file(root / row[name]) for row in rows)]


def normal_split(name: str) -> str:
    """Translate common names of splits to train, val and test; other names are unchanged."""
    return SPLIT_NAMES.get(plain_name(name), name)


def _is_taken(found: str, ours: str, columns: Mapping[str, str]) -> bool:
    """Whether a column has another meaning already; case and subject may share one."""
    return any(found == name and {ours, other} != {"case_id", "subject_id"} for other, name in columns.items())


def _draft(row: Row, columns: Mapping[str, str], further: list[str], root: Path) -> Case:
    cells = {ours: row[theirs] for ours, theirs in columns.items()}

    def path(column: str) -> Path | None:
        return root / cells[column] if cells.get(column) else None

    return Case(
        case_id=cells["case_id"],
        subject_id=cells.get("subject_id", "") or cells["case_id"],
        split=normal_split(cells.get("split", "")),
        image=path("image"),
        reference=path("reference"),
        noisy=path("noisy"),
        annotator=cells.get("annotator", ""),
        groups={name: row[name] for name in further},
        dose=path(DOSE),
    )
