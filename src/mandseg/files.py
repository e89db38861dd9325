"""Files and folders that appear whole or not at all: written under a temporary name, flushed to disk, renamed."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


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


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with appearing_whole(path) as file:
        file.write(text.encode())


def _part_of(path: Path) -> Path:
    """Name a hidden sibling that no other process uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}")
