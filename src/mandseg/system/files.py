"""Files and folders that appear whole or not at all: written under a temporary name, flushed to disk, renamed."""

import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mandseg.system.errors import UserError


@contextmanager
def appearing_whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file beside ``path`` that takes its name only when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part_of(path)
    try:
        with part.open("xb") as file:  # open, not mkstemp: the user's umask decides who may read patient data
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def folder_appearing_whole(dest: Path) -> Iterator[Path]:
    """Make a folder beside ``dest`` that takes its name, replacing what is there, only if the block ends well."""
    dest.parent.mkdir(parents=True, exist_ok=True)
    part = _part_of(dest)
    old = _part_of(dest)
    part.mkdir()
    try:
        yield part
        if dest.exists():
            dest.rename(old)
        part.rename(dest)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if old.exists() and not dest.exists():
            old.rename(dest)


def refuse_foreign_files(folder: Path, own: Collection[str], writer: str) -> None:
    """Say no where replacing a folder would delete something else.

    Args:
        folder: The folder to be replaced, which need not exist.
        own: Names of the files that the writer makes there.
        writer: Who that is, e.g. ``an audit``.

    Raises:
        UserError: It is a file, or holds a file of another name.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file, expected a folder for {writer}")
    foreign = sorted({file.name for file in folder.iterdir()} - set(own)) if folder.is_dir() else []
    if foreign:
        raise UserError(f"{folder}: holds {foreign[0]}, which {writer} did not write; choose an empty folder")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with appearing_whole(path) as file:
        file.write(text.encode())


def _part_of(path: Path) -> Path:
    """Name a hidden sibling that no other process uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}")
