"""grid.csv: every run that was requested in a study."""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mandseg.runs.folder import RECORD
from mandseg.statistics.columns import CONDITION
from mandseg.system.errors import UserError, one_line
from mandseg.system.files import write_csv
from mandseg.system.lock import locked
from mandseg.system.wording import similar_path

GRID = "grid.csv"
LISTED = 6  # studies that an answer names

COLUMNS = ("run", *CONDITION, "overrides")


def add_to_grid(study: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Add expected runs to the study's grid.csv, each once.

    Raises:
        UserError: The study's folder cannot be written, or its grid.csv is something else.
    """
    try:
        study.mkdir(parents=True, exist_ok=True)
        if not _unlisted(study, rows):  # as for each job of a grid: no lock is needed
            return
        with locked(study / f".{GRID}.lease"):
            write_csv(study / GRID, COLUMNS, [*read_grid(study), *_unlisted(study, rows)])
    except OSError as error:
        raise UserError(f"output_dir={study.parent}: study {study} cannot be written ({error.strerror})") from error


def remove_from_grid(study: Path, runs: Collection[str]) -> None:
    """Take runs out of the study's grid.csv.

    Raises:
        UserError: The file cannot be read or written.
    """
    try:
        with locked(study / f".{GRID}.lease"):
            if any(row["run"] in runs for row in read_grid(study)):
                write_csv(study / GRID, COLUMNS, [row for row in read_grid(study) if row["run"] not in runs])
    except OSError as error:
        raise UserError(f"{study / GRID}: cannot be written ({error.strerror})") from error


def _unlisted(study: Path, rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    listed = {row["run"] for row in read_grid(study)}
    return list({row["run"]: row for row in rows if row["run"] not in listed}.values())


def refuse_no_study(path: Path) -> None:
    """Refuse a folder without runs, by its file names alone.

    Raises:
        UserError: The folder is missing, or has neither a grid.csv nor a run folder.
    """
    if path.is_file():
        raise UserError(f"study {path}: is a file, expected a study's folder{_study_around(path)}")
    if not path.is_dir():
        raise UserError(f"study {path}: no such folder{similar_path(path)}")
    if not (path / GRID).exists() and not any(path.glob(f"*/{RECORD}")):
        raise UserError(f"study {path}: {no_run_in(path)}")


def refuse_place_of_runs(folder: Path, noun: str) -> None:
    """Refuse to write something else into a study or a run folder.

    Raises:
        UserError: The folder has a grid.csv or a run.json.
    """
    if (folder / GRID).is_file() or (folder / RECORD).is_file():
        what = "a study" if (folder / GRID).is_file() else "a run folder"
        raise UserError(f"{folder}: is {what}, expected a folder for {noun}; choose another folder with --out")


def no_run_in(folder: Path) -> str:
    """What a folder without runs lacks, and the studies in it or the one around it."""
    if (folder / GRID).is_file():
        return f"its {GRID} lists no run; start the trainings again"
    listed = {grid.parent for grid in folder.glob(f"*/{GRID}")}
    studies = sorted(listed | {record.parents[1] for record in folder.glob(f"*/*/{RECORD}")})
    advice = f"; name a study in it: {', '.join(map(str, studies[:LISTED]))}" if studies else ""
    return f"holds no run (neither {GRID} nor a folder with {RECORD}){advice or _study_around(folder)}"


def _study_around(path: Path) -> str:
    """The study that a file or folder is in: ``; did you mean outputs/clinic?``; nothing if it is in none."""
    study = next((folder for folder in path.parents if (folder / GRID).is_file()), None)
    return f"; did you mean {study}?" if study else ""


def read_grid(study: Path) -> list[dict[str, str]]:
    """The rows of grid.csv; no rows without such a file.

    Raises:
        UserError: The file is something else.
    """
    try:
        with (study / GRID).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames and "run" not in reader.fieldnames:
                raise ValueError("no column run")
            return list(reader)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, csv.Error, ValueError) as error:
        raise UserError(f"{study / GRID}: cannot be read as a list of runs ({one_line(error)})") from error
