"""Files and folders that are written completely or not at all, and that replace only what the same command wrote.

What is written has a temporary name, is flushed to disk and then renamed. A folder that a command may replace later
(a report, an audit, a cohort) holds a list of the files that were written into it. Only a folder whose files are all
on that list, and unchanged, is replaced.
"""

import csv
import errno
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from mandseg.system.errors import UserError
from mandseg.system.leftovers import part_of, remove_leftovers

FILE_SUFFIXES = frozenset({".html", ".pdf", ".csv", ".png", ".svg", ".json", ".nii", ".gz", ".nrrd", ".mha", ".dcm"})
"""Suffixes that no folder of a command's files has: the user means a file."""
LIST = ".mandseg.json"
"""In a folder that a command may replace: who wrote it, and size and digest of each file."""
OF_THE_SYSTEM = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that file browsers leave in every folder they show."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Kind:
    """A kind of folder that a command writes and may replace.

    Args:
        noun: What the folder is, e.g. ``an audit``.
        advice: How to write elsewhere, e.g. ``choose an empty folder with --out``.
        always: Files that each earlier version wrote. A folder without a list and without them is foreign.
        names: The relative paths that earlier versions wrote, which left no list.
    """

    noun: str
    advice: str
    always: frozenset[str]
    names: re.Pattern[str]


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file beside ``path`` that takes its name only when the block ends without an error.

    Raises:
        UserError: The place cannot be written.
    """
    part = part_of(path)
    with _refusing_unwritable(path, part):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:  # open, not mkstemp: the user's umask decides who may read patient data
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(dest: Path, check: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Make a folder beside ``dest`` that takes its name, replacing what is there, only if the block ends well.

    Args:
        dest: The folder.
        check: Called just before the replacement; an error that it raises prevents it.

    Raises:
        UserError: The place cannot be written.
    """
    part = part_of(dest)
    old = part.with_name(f"{part.name}.old")
    with _refusing_unwritable(dest, part):
        dest.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(dest)
        part.mkdir()
        try:
            yield part
            check()
            if dest.exists():
                dest.rename(old)
            part.rename(dest)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            if old.exists() and not dest.exists():
                old.rename(dest)


@contextmanager
def replaced_folder(dest: Path, kind: Kind) -> Iterator[Path]:
    """:func:`atomic_folder` for a folder that the same command may replace, and no other.

    Raises:
        UserError: As :func:`refuse_foreign_files`, also for a file that came while the block ran; the disk is full.
    """
    place = dest.resolve()  # of a link: what it points at is replaced, not the link
    refuse_foreign_files(dest, kind)
    check = partial(refuse_foreign_files, dest, kind)
    with _elsewhere_advised(dest, kind.advice), atomic_folder(place, check) as part:
        yield part
        files = {name: fingerprint(part / name) for name in _files(part)}
        write_text(part / LIST, json.dumps({"by": kind.noun, "files": files}, indent=0) + "\n")


def refuse_foreign_files(folder: Path, kind: Kind) -> None:
    """Refuse a path for a folder where a foreign file would be lost, or that cannot be written.

    Empty folders and what file browsers leave are nothing to lose.

    Args:
        folder: The folder to be replaced, which need not exist.
        kind: What is to be written there.

    Raises:
        UserError: It is a file, holds a file that the same command did not write or that was changed since, or cannot
            be written.
    """
    refuse_file(folder, kind.noun, kind.advice)
    _refuse_unwritable(folder, kind.advice)
    writer, written = read_list(folder)
    if writer and writer != kind.noun:
        raise UserError(f"{folder}: is {writer}, not {kind.noun}; {kind.advice}")
    is_earlier = not writer and all((folder / name).is_file() for name in kind.always)
    for name in _files(folder):
        if name not in written and not (is_earlier and kind.names.fullmatch(name)):
            raise UserError(f"{folder}: holds {name}, which {kind.noun} did not write; move it away or {kind.advice}")
        if name in written and written[name] != fingerprint(folder / name):
            raise UserError(f"{folder}: {name} was changed after it was written; move it away or {kind.advice}")


def refuse_file(folder: Path, noun: str, advice: str) -> None:
    """Refuse a path for a folder that is a file, or is named like one.

    Raises:
        UserError: One line.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file, expected a folder for {noun}; {advice}")
    if not folder.exists() and folder.suffix.lower() in FILE_SUFFIXES:
        raise UserError(f"{folder}: is the name of a file, expected a folder for {noun}; {advice}")


def refuse_foreign_file(path: Path, first_line: str, noun: str, advice: str) -> None:
    """Refuse to replace a text file that does not begin as the command's own file does.

    Raises:
        UserError: It is a folder or another file, or the place cannot be written.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder, expected a file for {noun}; {advice}")
    _refuse_unwritable(path, advice)
    if not path.exists():
        return
    with path.open("rb") as file:
        start = file.read(len(first_line.encode()) + 1)
    if start and start != f"{first_line}\n".encode():
        raise UserError(f"{path}: is not {noun} that mandseg wrote; {advice}")


def writable_folder(path: Path, setting: str) -> Path:
    """Make a folder if it is missing.

    Raises:
        UserError: It cannot be made or written; the line names the setting.
    """
    if str(path).startswith("~"):
        raise UserError(
            f"{setting}={path}: write the folder in full or with ${{oc.env:HOME}}, a file's ~ is not expanded"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{setting}={path}: cannot be written ({error.strerror})") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"{setting}={path}: cannot be written (read-only)")
    return path


def is_file(path: Path) -> bool:
    """Whether a path is a file; False for one that no file system takes: a too long name, a loop of links, NUL."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file completely or not at all."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any] | Sequence[Any]]) -> None:
    """Write a UTF-8 CSV file completely or not at all; for the rows see :func:`csv_text`."""
    write_text(path, csv_text(columns, rows))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any] | Sequence[Any]]) -> str:
    """Format rows as CSV with a header and Unix line ends.

    Args:
        columns: The header.
        rows: The cells of each row, by column or in the order of the columns; a column that a mapping lacks is empty.

    Raises:
        ValueError: A row has a cell that belongs to no column, or a sequence has too few cells.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row if isinstance(row, Mapping) else dict(zip(columns, row, strict=True)) for row in rows)
    return text.getvalue()


def _files(folder: Path) -> Iterator[str]:
    """Relative paths of all files below a folder, and of links, which are not followed; sorted in each folder."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in sorted(files + links):
            if name not in OF_THE_SYSTEM and (name != LIST or Path(place) != folder):
                yield (Path(place) / name).relative_to(folder).as_posix()


def read_list(folder: Path) -> tuple[str, dict[str, list[object]]]:
    """The command that wrote a folder, and the folder's files; both empty without a readable list."""
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "", {}
    whole = isinstance(listed, dict) and isinstance(listed.get("files"), dict) and isinstance(listed.get("by"), str)
    return (listed["by"], listed["files"]) if whole else ("", {})


def fingerprint(file: Path) -> list[object]:
    """Size and digest of a file's content; of a link: where it points."""
    if file.is_symlink():
        return [-1, str(file.readlink())]
    with file.open("rb") as content:
        return [file.stat().st_size, hashlib.file_digest(content, "sha256").hexdigest()[:32]]


def _refuse_unwritable(path: Path, advice: str) -> None:
    """Refuse a place that cannot be written before anything is computed for it."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise UserError(f"{path}: cannot be written ({parent} is a file); {advice}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written ({parent} is read-only); {advice}")


@contextmanager
def _refusing_unwritable(path: Path, part: Path) -> Iterator[None]:
    """Turn an error about the place that is written into a UserError; errors about other files stay what they are."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL or not _is_about(error, part):
            raise
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def _is_about(error: OSError, part: Path) -> bool:
    if not isinstance(error.filename, str | os.PathLike):
        return False
    file, part = Path(error.filename).absolute(), part.absolute()
    return file.is_relative_to(part) or part.is_relative_to(file)


@contextmanager
def _elsewhere_advised(dest: Path, advice: str) -> Iterator[None]:
    """Say how to write elsewhere where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(f"{dest}: cannot be written ({error.strerror}); {advice}") from error
