"""The cohort: a folder with manifest.csv, one row a case, naming its image, reference label and noisy label."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.spreadsheet import Row, read_table
from mandseg.system.errors import UserError
from mandseg.system.files import write_csv
from mandseg.system.names import LONGEST, name_problem

MANIFEST = "manifest.csv"
COLUMNS = ("case_id", "subject_id", "split", "image", "reference", "noisy", "annotator")
SPLITS = ("train", "val", "test")
LONGEST_SHOWN = 300  # letters of a path in a message


@dataclass(frozen=True)
class Cohort:
    """The cases of one manifest, in its order."""

    root: Path
    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name

    def split(self, name: str) -> tuple[Case, ...]:
        """The cases of one split.

        Raises:
            UserError: The split is empty.
        """
        cases = tuple(case for case in self.cases if case.split == name)
        if not cases:
            have = ", ".join(sorted({case.split for case in self.cases})) or "none"
            raise UserError(f"{self.root / MANIFEST}: no case in split {name!r}, the manifest has: {have}")
        return cases


@dataclass(frozen=True)
class Violation:
    """Something in a manifest that breaks its contract."""

    case_id: str
    text: str

    def __str__(self) -> str:
        return f"case {_shown(self.case_id)}: {self.text}"


def _shown(case_id: str) -> str:
    """A case's name in a message: one line, and no longer than a name may be."""
    name = "".join(letter if letter.isprintable() else "?" for letter in case_id)
    return f"{name[:40]}..." if len(name) > LONGEST else name or "(empty)"


def read_cohort(path: Path) -> Cohort:
    """Read and check a manifest, listing every violation at once.

    Args:
        path: manifest.csv, or the folder that holds it.

    Raises:
        UserError: One line for each violation found: case, column and value.
    """
    cohort, violations = examine_manifest(path)
    if violations:
        raise UserError([f"{_manifest(path)}: {violation}" for violation in violations])
    return cohort


def examine_manifest(path: Path) -> tuple[Cohort, list[Violation]]:
    """Read a manifest and list what is wrong with it, without refusing it: for reports that want to go on.

    Raises:
        UserError: There is no table to look at: no file, no text, no such columns, no cases.
    """
    path = _manifest(path)
    if not path.is_file():
        raise UserError(f"{path}: no such manifest; `mandseg prepare --help` shows how to make one")
    header, rows = read_table(path)
    if missing := [name for name in COLUMNS[:5] if name not in header]:
        raise UserError(f"{path}: column {', '.join(missing)} missing, the file has: {', '.join(header) or 'nothing'}")
    if not rows:
        raise UserError(f"{path}: no cases")
    root = path.parent.resolve()
    return Cohort(root, tuple(_case(row, root) for row in rows)), _violations(rows, root)


def write_cohort(root: Path, cases: Sequence[Case]) -> Cohort:
    """Write manifest.csv (whole or not at all), with paths relative to ``root``, unless it would break the contract.

    Raises:
        UserError: One line for each violation; no manifest is written.
    """
    root.mkdir(parents=True, exist_ok=True)
    group_names = list(dict.fromkeys(name for case in cases for name in case.groups))
    rows = [_row(case, root, group_names) for case in cases]
    problems = [f"column {name} is a manifest's own and cannot be a group" for name in group_names if name in COLUMNS]
    problems += [str(violation) for violation in _violations(rows, root)]
    if problems:
        raise UserError(problems)
    write_csv(root / MANIFEST, [*COLUMNS, *group_names], rows)
    return read_cohort(root)


def refuse_shared_subjects(training: Iterable[Case], testing: Iterable[Case], allowed: Iterable[str] = ()) -> None:
    """Refuse a subject that is in training and in a test set, unless its id is in ``allowed``.

    Raises:
        UserError: One line for each such subject, with both case ids.
    """
    trained = {case.subject_id: case.case_id for case in training}
    problems = [
        f"subject {case.subject_id}: case {trained[case.subject_id]} is used for training and case {case.case_id} "
        "for testing"
        for case in testing
        if case.subject_id in trained and case.subject_id not in set(allowed)
    ]
    if problems:
        raise UserError(problems)


def _manifest(path: Path) -> Path:
    return path / MANIFEST if path.is_dir() else path


def _violations(rows: list[Row], root: Path) -> list[Violation]:
    of_rows = [violation for row in rows for violation in _row_violations(row, root)]
    return _duplicates(rows) + of_rows + _shared_images(rows, root) + _split_leaks(rows)


def _duplicates(rows: list[Row]) -> list[Violation]:
    counts = Counter(row["case_id"] for row in rows)
    return [Violation(case_id, f"listed {n} times, expected once") for case_id, n in counts.items() if n > 1]


def _row_violations(row: Row, root: Path) -> list[Violation]:
    texts = [f"column {column} is empty" for column in ("case_id", "subject_id") if not row[column]]
    if problem := name_problem(row["case_id"]):
        texts.append(f"case_id {problem}")
    if row["split"] not in SPLITS:
        texts.append(f"split is {row['split']!r}, expected one of {', '.join(SPLITS)}")
    if not row["reference"] and not row.get("noisy"):
        texts.append("neither reference nor noisy label is given")
    for column in ("image", "reference", "noisy"):
        value = row.get(column, "")
        if value and not _is_file(root / value):
            texts.append(f"{column} {value[:LONGEST_SHOWN]}: no such file")
    return [Violation(row["case_id"], text) for text in texts]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long a name, a loop of links
        return False


def _shared_images(rows: list[Row], root: Path) -> list[Violation]:
    """Find one image given as two subjects: the same patient under two names, whatever links lead to the file."""
    first: dict[str, Row] = {}
    found = []
    for row in rows:
        other = first.setdefault(os.path.realpath(root / row["image"]), row) if row["image"] else row
        if other["subject_id"] != row["subject_id"]:
            text = f"image {row['image']} is also that of case {other['case_id']}, but the subjects differ: "
            found.append(Violation(row["case_id"], f"{text}{row['subject_id']} and {other['subject_id']}"))
    return found


def _split_leaks(rows: list[Row]) -> list[Violation]:
    first: dict[str, Row] = {}
    found = []
    for row in rows:
        other = first.setdefault(row["subject_id"], row)
        if row["subject_id"] and other["split"] != row["split"]:
            text = (
                f"subject {row['subject_id']} is in {row['split']}, and in {other['split']} as case {other['case_id']}"
            )
            found.append(Violation(row["case_id"], text))
    return found


def _case(row: Row, root: Path) -> Case:
    def path(column: str) -> Path | None:
        return without_dots(root / row[column]) if row.get(column) else None

    groups = {name: value for name, value in row.items() if name and name not in COLUMNS}
    return Case(
        case_id=row["case_id"],
        subject_id=row["subject_id"],
        split=row["split"],
        image=path("image"),
        reference=path("reference"),
        noisy=path("noisy"),
        annotator=row.get("annotator", ""),
        groups=groups,
    )


def _row(case: Case, root: Path, group_names: list[str]) -> Row:
    row = {"case_id": case.case_id, "subject_id": case.subject_id, "split": case.split, "annotator": case.annotator}
    for column, path in (("image", case.image), ("reference", case.reference), ("noisy", case.noisy)):
        row[column] = "" if path is None else _relative(path, root.resolve())
    return row | {name: case.groups.get(name, "") for name in group_names}


def _relative(path: Path, root: Path) -> str:
    """Write a path relative to a folder without following the links on its way: a link may lead elsewhere tomorrow.

    Only what lies above both, the deepest folder on the way that holds ``root``, is taken for what it is today.
    """
    path = without_dots(path.absolute())
    for folder in path.parents:
        if root.is_relative_to(common := folder.resolve()):
            return Path(os.path.relpath(common / path.relative_to(folder), root)).as_posix()
    return path.as_posix()


def without_dots(path: Path) -> Path:
    """Drop ``..`` from a path; behind a link to a folder it leads elsewhere than it reads, so that link is followed."""
    plain = Path(os.path.normpath(path))
    try:
        return plain if plain.samefile(path) else path.parent.resolve() / path.name
    except OSError:  # nothing is there: the manifest's check says so
        return plain
