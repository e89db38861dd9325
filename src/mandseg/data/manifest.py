"""The cohort: a folder with manifest.csv, which names image, reference label and noisy label of each case."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.spreadsheet import Row, read_table
from mandseg.system.errors import UserError
from mandseg.system.files import is_file, write_csv
from mandseg.system.names import LONGEST, name_problem, printable
from mandseg.system.wording import similar_path

MANIFEST = "manifest.csv"
COLUMNS = ("case_id", "subject_id", "split", "image", "reference", "noisy", "annotator")
DOSE = "dose"
"""A further column with a meaning; a manifest has it only if a case has a dose."""
SPLITS = ("train", "val", "test")
IMAGES = (".gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm")
"""Suffixes of files that are taken for a manifest by mistake."""
LONGEST_SHOWN = 300  # characters of a path in a message


@dataclass(frozen=True)
class Cohort:
    """The cases of one manifest, in the order of its rows."""

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
            have = (
                ", ".join(sorted({case.split for case in self.cases}, key=lambda one: (*SPLITS, one).index(one)))
                or "none"
            )
            raise UserError(f"{self.root / MANIFEST}: no case in split {name!r}, the manifest has: {have}")
        return cases


@dataclass(frozen=True)
class Violation:
    """A row of a manifest that breaks a rule."""

    case_id: str
    text: str

    def __str__(self) -> str:
        name = printable(self.case_id) or "(empty)"
        name = name if len(name) <= LONGEST else f"{name[:40]}..."
        return f"case {name}: {printable(self.text)}"


def read_cohort(path: Path) -> Cohort:
    """Read a manifest and refuse it if it breaks a rule.

    Args:
        path: manifest.csv, or the folder that holds it.

    Raises:
        UserError: One line for each violation: case, column and value.
    """
    cohort, violations = examine_manifest(path)
    if violations:
        raise UserError([f"{manifest_file(path)}: {violation}" for violation in violations])
    return cohort


def examine_manifest(path: Path) -> tuple[Cohort, list[Violation]]:
    """Read a manifest and list its violations without refusing it.

    Raises:
        UserError: The file is missing, is not a table, lacks a column or has no rows.
    """
    path = manifest_file(path)
    if path.is_file() and path.suffix.lower() in IMAGES:
        raise UserError(f"{path}: is an image, expected a cohort's folder, or its {MANIFEST}{_cohort_around(path)}")
    if not path.is_file():
        cohorts = (
            sorted(str(file.parent) for file in path.parent.glob(f"*/{MANIFEST}")) if path.name == MANIFEST else []
        )
        advice = (
            f"name a cohort: {', '.join(cohorts[:6])}" if cohorts else "`mandseg prepare --help` shows how to make one"
        )
        raise UserError(f"{path}: no such manifest{similar_path(path) or _cohort_around(path.parent) or f'; {advice}'}")
    header, rows = read_table(path)
    columns = printable(", ".join(header))[:LONGEST_SHOWN] or "nothing"
    if missing := [name for name in COLUMNS[:5] if name not in header]:
        raise UserError(f"{path}: column {', '.join(missing)} missing, the file has: {columns}")
    if not rows:
        raise UserError(f"{path}: no cases")
    root = path.parent.resolve()
    return Cohort(root, tuple(_case(row, root) for row in rows)), _violations(rows, root)


def write_cohort(root: Path, cases: Sequence[Case]) -> Cohort:
    """Write manifest.csv completely or not at all, with paths relative to ``root``.

    Raises:
        UserError: The cases break a rule, one line for each violation; nothing is written.
    """
    root.mkdir(parents=True, exist_ok=True)
    group_names = list(dict.fromkeys(name for case in cases for name in case.groups))
    rows = [_row(case, root, group_names) for case in cases]
    problems = [
        f"column {name} is a column of the manifest itself and cannot be a group"
        for name in group_names
        if name in (*COLUMNS, DOSE)
    ]
    problems += [str(violation) for violation in _violations(rows, root)]
    if problems:
        raise UserError(problems)
    dose = [DOSE] if any(case.dose for case in cases) else []
    write_csv(root / MANIFEST, [*COLUMNS, *dose, *group_names], rows)
    return read_cohort(root)


def refuse_shared_subjects(training: Iterable[Case], testing: Iterable[Case], allowed: Iterable[str] = ()) -> None:
    """Refuse subjects that are both in training and in a test set, except those in ``allowed``.

    Raises:
        UserError: One line for each such case, with both case ids.
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


def manifest_file(path: Path) -> Path:
    """The manifest of a cohort, which is given by its folder or by the manifest itself."""
    return path / MANIFEST if path.is_dir() else path


def _cohort_around(path: Path) -> str:
    """The cohort that a file or folder is in: ``; did you mean cohorts/clinic?``; nothing if it is in none."""
    cohort = next((folder for folder in path.parents if (folder / MANIFEST).is_file()), None)
    return f"; did you mean {cohort}?" if cohort else ""


def _violations(rows: list[Row], root: Path) -> list[Violation]:
    in_rows = [violation for row in rows for violation in _row_violations(row, root)]
    return _duplicates(rows) + in_rows + _shared_images(rows, root) + _split_leaks(rows)


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
    for column in ("image", "reference", "noisy", DOSE):
        value = row.get(column, "")
        if value and not is_file(root / value):
            texts.append(f"{column} {value[:LONGEST_SHOWN]}: no such file")
    return [Violation(row["case_id"], text) for text in texts]


def _shared_images(rows: list[Row], root: Path) -> list[Violation]:
    """Find images that two subjects share, links resolved: one patient under two names."""
    first: dict[str, Row] = {}
    violations = []
    for row in rows:
        other = first.setdefault(os.path.realpath(root / row["image"]), row) if row["image"] else row
        if other["subject_id"] != row["subject_id"]:
            text = f"image {row['image']} is also the image of case {other['case_id']}, but the subjects differ: "
            violations.append(Violation(row["case_id"], f"{text}{row['subject_id']} and {other['subject_id']}"))
    return violations


def _split_leaks(rows: list[Row]) -> list[Violation]:
    first: dict[str, Row] = {}
    violations = []
    for row in rows:
        other = first.setdefault(row["subject_id"], row)
        if row["subject_id"] and other["split"] != row["split"]:
            text = (
                f"subject {row['subject_id']} is in {row['split']}, and in {other['split']} as case {other['case_id']}"
            )
            violations.append(Violation(row["case_id"], text))
    return violations


def _case(row: Row, root: Path) -> Case:
    def path(column: str) -> Path | None:
        return without_dots(root / row[column]) if row.get(column) else None

    groups = {name: value for name, value in row.items() if name and name not in (*COLUMNS, DOSE)}
    return Case(
        case_id=row["case_id"],
        subject_id=row["subject_id"],
        split=row["split"],
        image=path("image"),
        reference=path("reference"),
        noisy=path("noisy"),
        annotator=row.get("annotator", ""),
        groups=groups,
        dose=path(DOSE),
    )


def _row(case: Case, root: Path, group_names: list[str]) -> Row:
    row = {"case_id": case.case_id, "subject_id": case.subject_id, "split": case.split, "annotator": case.annotator}
    files = {"image": case.image, "reference": case.reference, "noisy": case.noisy}
    for column, path in (files | ({DOSE: case.dose} if case.dose else {})).items():
        row[column] = "" if path is None else _relative(path, root.resolve())
    return row | {name: case.groups.get(name, "") for name in group_names}


def _relative(path: Path, root: Path) -> str:
    """Write a path relative to a folder and keep the links in it, because a link may change its target.

    Only the part above the deepest folder that holds both is resolved.
    """
    path = without_dots(path.absolute())
    for folder in path.parents:
        if root.is_relative_to(common := folder.resolve()):
            return Path(os.path.relpath(common / path.relative_to(folder), root)).as_posix()
    return path.as_posix()


def without_dots(path: Path) -> Path:
    """Drop ``..`` from a path; a link before ``..`` is resolved, as the file system does."""
    plain = Path(os.path.normpath(path))
    try:
        return plain if plain.samefile(path) else path.parent.resolve() / path.name
    except OSError:  # the file is missing: the check of the manifest reports it
        return plain
