"""A folder to which a command adds files in several calls. It replaces only files that the same command wrote.

The folder holds the list of :mod:`mandseg.system.files`. A file is listed before it is written, so a killed command
leaves no file that a later call would take for foreign.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mandseg.system.errors import UserError
from mandseg.system.files import LIST, Kind, fingerprint, read_list, refuse_file, write_text
from mandseg.system.lock import HeldError, locked

LOCK = ".mandseg.lease"
BEGUN: list[object] = []
"""The fingerprint of a file that is just being written."""


@dataclass
class GrowingFolder:
    """The files that one kind of command wrote into a folder, which may hold other files, too.

    Args:
        path: The folder.
        kind: What the command writes.
    """

    path: Path
    kind: Kind
    _files: dict[str, list[object]] = field(default_factory=dict)

    def refuse_foreign(self, names: Sequence[str]) -> None:
        """Refuse to replace files that the command did not write, or that were changed since.

        Raises:
            UserError: The first of them.
        """
        for name in names:
            file = self.path / name
            if not (file.exists() or file.is_symlink()):
                continue
            if name not in self._files:
                raise UserError(f"{file}: {self.kind.noun} did not write it; move it away or {self.kind.advice}")
            if self._files[name] != BEGUN and not self.is_whole(name):
                raise UserError(f"{file}: was changed after it was written; move it away or {self.kind.advice}")

    def is_whole(self, name: str) -> bool:
        """Whether a file is there as the command wrote it."""
        file = self.path / name
        return name in self._files and file.is_file() and self._files[name] == fingerprint(file)

    @contextmanager
    def writing(self, names: Sequence[str]) -> Iterator[None]:
        """List files, let the block write them, and list what it wrote.

        Raises:
            UserError: As ``refuse_foreign``.
        """
        self.refuse_foreign(names)
        self._files |= dict.fromkeys(names, BEGUN)
        self._write()
        yield
        self._files |= {name: fingerprint(self.path / name) for name in names if (self.path / name).is_file()}
        self._write()

    def remove(self, names: Sequence[str]) -> None:
        """Remove files that the command wrote, where they are there.

        Raises:
            UserError: As ``refuse_foreign``.
        """
        self.refuse_foreign(names)
        for name in names:
            (self.path / name).unlink(missing_ok=True)
            self._files.pop(name, None)
        self._write()

    def _write(self) -> None:
        write_text(self.path / LIST, json.dumps({"by": self.kind.noun, "files": self._files}, indent=0) + "\n")


@contextmanager
def growing_folder(path: Path, kind: Kind) -> Iterator[GrowingFolder]:
    """Open a folder for one process; it is made if it is missing.

    Raises:
        UserError: It is a file, belongs to another command, cannot be written, or another process writes to it.
    """
    refuse_growing(path, kind)  # before a lock is put into another command's folder
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); {kind.advice}") from error
    try:
        with locked(path / LOCK, patience_s=0):
            yield GrowingFolder(path, kind, _own_files(path, kind))
    except HeldError as error:
        raise UserError(f"{path}: {error} writes to it; wait for its end or {kind.advice}") from error
    except PermissionError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); {kind.advice}") from error


def refuse_growing(path: Path, kind: Kind) -> None:
    """Refuse a path that cannot become or is not the folder of a command.

    Raises:
        UserError: It is a file, or belongs to another command.
    """
    refuse_file(path, kind.noun, kind.advice)
    _own_files(path, kind)


def _own_files(path: Path, kind: Kind) -> dict[str, list[object]]:
    """Read the list of a folder; refuse the folder of another command."""
    writer, files = read_list(path)
    if writer and writer != kind.noun:
        raise UserError(f"{path}: is {writer}, not {kind.noun}; {kind.advice}")
    return files
