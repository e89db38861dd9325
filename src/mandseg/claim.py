"""The claim on a run folder: one owner at a time, and run.json, which says how the run stands."""

import json
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import DEVNULL, CalledProcessError, check_output
from time import perf_counter
from typing import Any

from filelock import FileLock, Timeout

from mandseg.files import write_text

RECORD, LOCK = "run.json", "run.lock"
PACKAGES = ("mandseg", "torch", "lightning", "monai", "torchio", "numpy", "hydra-core")


class BusyError(Exception):
    """Another live process owns the run folder."""


@dataclass
class Claim:
    """A run folder that this process owns, and its record."""

    folder: Path
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether an earlier process brought the run to its end."""
        return self.record.get("state") == "done" and (self.folder / "cases.csv").exists()

    def update(self, **facts: Any) -> None:
        """Add facts to run.json."""
        self.record |= facts
        write_text(self.folder / RECORD, json.dumps(self.record, indent=1) + "\n")

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


class Follower(Claim):
    """What a process of a run has that is not its first: the record to read, and nothing is written."""

    def update(self, **facts: Any) -> None:
        """Keep the facts in this process."""
        self.record |= facts


def is_follower() -> bool:
    """Whether Lightning or SLURM started this process beside the first one of its run."""
    return os.environ.get("LOCAL_RANK", os.environ.get("SLURM_PROCID", "0")) != "0"


@contextmanager
def claimed(folder: Path, study: str, condition: Mapping[str, Any]) -> Iterator[Claim]:
    """Own a run folder while the block runs.

    Raises:
        BusyError: Another live process owns it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=2)  # `mandseg status` holds it for a moment to see whether it is free
    try:
        lock.acquire()
    except Timeout as error:
        owner = read_record(folder)
        where = f"process {owner['pid']} on {owner['host']}" if "pid" in owner else "another process"
        raise BusyError(f"{folder.name}: {where} is working on it") from error
    try:
        claim = Claim(folder, read_record(folder))
        claim.record |= {"run": folder.name, "study": study, "condition": dict(condition)}
        yield claim
    finally:
        lock.release()


def read_record(folder: Path) -> dict[str, Any]:
    """run.json as a dict; empty where there is none or it cannot be read."""
    try:
        record = json.loads((folder / RECORD).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def start_facts() -> dict[str, Any]:
    """What to record when a run starts or goes on."""
    return {
        "state": "running",
        "error": None,
        "started": now(),
        "ended": None,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "versions": versions(),
    }


def now() -> str:
    """The time, to the second, with its zone."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> dict[str, str]:
    """The versions that a result depends on: Python, packages, and the code's commit where it is a checkout."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found | {"code": _commit()}


def _commit() -> str:
    """The commit of the checkout this file lies in; a plus sign says that files differ from it."""
    here = Path(__file__).parent
    try:
        commit = check_output(["git", "-C", here, "rev-parse", "--short=12", "HEAD"], text=True, stderr=DEVNULL)
        changed = check_output(["git", "-C", here, "status", "--porcelain", "--", "."], text=True, stderr=DEVNULL)
    except (OSError, CalledProcessError):
        return "installed package"
    return commit.strip() + ("+" if changed.strip() else "")
