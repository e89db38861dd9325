"""The ownership of a run folder: only one process at a time, on any node, writes the folder and run.json."""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from mandseg.runs.folder import (
    CASES,
    CHECKPOINTS,
    CONFIG,
    CURVE,
    DOSE,
    DYNAMICS,
    LABELS,
    NOISE_APPLIED,
    OVERLAYS,
    PLAN,
    PREDICTIONS,
    RECORD,
    RunFolder,
)
from mandseg.system.errors import RunFailedError, UserError
from mandseg.system.files import OF_THE_SYSTEM, write_text
from mandseg.system.leftovers import is_part
from mandseg.system.lock import NOBODY, HeldError, Owner, locked

OWN_STARTS = {
    CONFIG: re.compile(r"^noise_ratio:", re.MULTILINE),
    CASES: re.compile(r"^\W*run\W+noise_ratio\b"),
    DOSE: re.compile(r"^\W*run\W+dataset\W+case_id\W+outcome\W+dice\b"),
}
"""A text that is in the file of a run and not in a foreign file of the same name."""
LATER = (RECORD, CURVE, PLAN, NOISE_APPLIED, DYNAMICS, OVERLAYS, PREDICTIONS, CHECKPOINTS, LABELS)
"""What a run writes later than its config.yaml. Where there is no config.yaml of a run, no run wrote them."""
RELEASE_WAIT_S = 2.0  # for an owner that is about to release the lock


class RunInUseError(Exception):
    """Another live process owns the run folder."""


class OwnershipLostError(Exception):
    """The lease expired (suspended process or stalled disk) and another process took the run."""


class LockRemovedError(OwnershipLostError):
    """The run's lock file was removed from outside, and nobody else owns the run."""


@dataclass
class OwnedRun:
    """A run folder that this process owns, and its record."""

    folder: Path
    record: dict[str, Any] = field(default_factory=dict)
    lost: threading.Event = field(default_factory=threading.Event)
    other_owner: Callable[[], Owner | None] = lambda: None

    def check(self) -> None:
        """Raise OwnershipLostError if this process owns the run no longer; called before each write."""
        if (owner := self.other_owner()) == NOBODY:
            removed = f"its lock file {self.files.lock_file} was removed while it worked"
            raise LockRemovedError(f"{self.folder.name}: {removed}, so another process may write the same files")
        if owner is not None or self.lost.is_set():
            raise OwnershipLostError(f"{self.folder.name}: another process took the run over")

    def check_complete(self) -> None:
        """Raise RunFailedError if files of the run vanished while it worked, so that it never counts as done."""
        files = (self.files.config_file, self.files.plan_file, self.files.applied_file, self.files.cases_file)
        if gone := [file.name for file in files if not file.is_file()]:
            what = f"{', '.join(gone)} vanished from {self.folder} while the run worked"
            raise RunFailedError(f"{what}; remove the folder and repeat the command")

    @property
    def files(self) -> RunFolder:
        """The run folder's files by name."""
        return RunFolder(self.folder)

    def update(self, **facts: Any) -> None:
        """Add facts to run.json."""
        self.check()
        self.record |= {key: _writable(value) for key, value in facts.items()}
        write_text(self.files.record_file, json.dumps(self.record, indent=1) + "\n")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the seconds of a phase of the run, over all its processes."""
        start = perf_counter()
        try:
            yield
        finally:
            seconds = dict(self.record.get("seconds", {}))
            seconds[name] = round(seconds.get(name, 0.0) + perf_counter() - start, 2)
            self.update(seconds=seconds)


class ReadOnlyRun(OwnedRun):
    """A run in its other processes, which read the record and write nothing."""

    def update(self, **facts: Any) -> None:
        """Keep the facts in this process."""
        self.record |= facts


@contextmanager
def own_run(folder: Path, study: str, condition: Mapping[str, Any]) -> Iterator[OwnedRun]:
    """Own a run folder while the block runs.

    Raises:
        RunInUseError: Another live process owns it.
        UserError: The folder cannot be written, or a run would replace files in it that no run wrote.
    """
    owned = OwnedRun(folder)
    refuse_foreign_run(folder)
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            owned.other_owner = stack.enter_context(locked(owned.files.lock_file, RELEASE_WAIT_S, owned.lost.set))
        except HeldError as error:
            raise RunInUseError(f"{folder.name}: {error} is working on it") from error
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
        owned.record |= owned.files.facts()
        owned.record |= {"run": folder.name, "study": study, "condition": dict(condition)}
        _remove_leftovers(folder)
        yield owned


def refuse_foreign_run(folder: Path) -> None:
    """Refuse a folder, e.g. ``hydra.run.dir=.``, in which a run would replace a file that no run wrote.

    Raises:
        UserError: One line that names the file.
    """
    later = () if _is_own(folder / CONFIG) or RunFolder(folder).facts() else LATER
    foreign = [folder / name for name in (CONFIG, CASES) if not _is_own(folder / name, missing=True)]
    foreign += [file for name in later if (file := _first_file(folder / name)) is not None]
    if foreign:
        raise UserError(f"{foreign[0]}: a run would replace it, and no run wrote it; choose another folder for the run")


def refuse_foreign_dose(folder: Path) -> None:
    """Refuse a run folder with a dose.csv that ``mandseg dose`` did not write.

    Raises:
        UserError: One line that names the file.
    """
    if not _is_own(folder / DOSE, missing=True):
        raise UserError(f"{folder / DOSE}: mandseg dose would replace it, and did not write it; move it away")


def _is_own(file: Path, missing: bool = False) -> bool:
    """Whether a run wrote a file; ``missing`` if it is missing or empty."""
    text = file.read_text(encoding="utf-8-sig", errors="replace") if file.is_file() else ""
    return bool(OWN_STARTS[file.name].search(text)) if text.strip() else missing


def _first_file(place: Path) -> Path | None:
    """A file with content, or the first file below a folder; None if there is nothing to lose."""
    if not place.is_dir():
        return place if place.is_file() and place.stat().st_size else None
    return next((file for file in sorted(place.rglob("*")) if file.is_file() and not _is_nothing(file, place)), None)


def _is_nothing(file: Path, place: Path) -> bool:
    """Whether a file is unfinished, or left by a file browser."""
    return file.name in OF_THE_SYSTEM or any(is_part(Path(name)) for name in file.relative_to(place).parts)


def _writable(value: Any) -> Any:
    """A fact in which letters that UTF-8 cannot encode, as in the name of a damaged file, are question marks."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


def _remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of a killed owner."""
    for part in [*folder.glob(".*"), *folder.glob(f"{CHECKPOINTS}/*/.*")]:
        if is_part(part) and part.is_file():
            part.unlink(missing_ok=True)
    for part in folder.glob(f"{LABELS}/.*"):
        if is_part(part):
            shutil.rmtree(part, ignore_errors=True)
