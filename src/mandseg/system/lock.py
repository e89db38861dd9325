"""Locks between processes and nodes: a small file with owner, host and heartbeat, on any file system of a cluster.

No lock here is flock, which not every network file system supports. Two things are required of the file system: to
create a file exclusively succeeds for one process only (NFS since version 3), and other nodes see a change of a file's
time within a minute. The protocol is filelock's SoftFileLease.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from filelock import SoftFileLease, Timeout

log = logging.getLogger(__name__)

LEASE_S = 180.0  # without a heartbeat for so long a lock is taken over; all processes must use the same value
HEARTBEAT_S = 20.0  # so the owner may miss eight heartbeats, and a node may see them a minute late
LOCK_POLL_S = 0.1


class Owner(NamedTuple):
    """Who holds a lock, and the age of the last heartbeat."""

    pid: int
    host: str
    silent_s: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.split('?')[0]}"  # behind the question mark: a container's mark


class HeldError(Exception):
    """Another live process holds the lock."""

    def __init__(self, owner: Owner | None) -> None:
        super().__init__(str(owner) if owner else "another process")


@contextmanager
def locked(
    file: Path, patience_s: float | None = None, on_lost: Callable[[], None] | None = None
) -> Iterator[Callable[[], Owner | None]]:
    """Hold a lock while the block runs; a lock that a dead process left behind is taken over, and that is logged.

    A process that died on this host is noticed at once, one on another host when its heartbeat has been missing for
    ``LEASE_S``; a host that only slept finds out by ``on_lost``.

    Args:
        file: The lock's file; its folder must exist. It exists while the lock is held.
        patience_s: How long to wait for a live owner; None: for as long as it takes.
        on_lost: Called from another thread when someone else took the lock over.

    Yields:
        A function that reads the lock's file: None while this process holds the lock, else who holds it now. A process
        that slept for long is the last to notice; this function needs no heartbeat for it.

    Raises:
        HeldError: The owner lives and patience has ended.
    """
    lease = _lease(file, on_lost)
    before = lock_owner(file)
    try:
        lease.acquire(timeout=-1 if patience_s is None else patience_s)
    except Timeout as error:
        _take_over(lease, file, error)
    if before is not None and not _lives(before):
        log.warning("%s: taken over from %s, which is gone", file.name, before)
    try:
        yield lambda: _other_owner(lease, file)
    finally:
        lease.release()


def is_held(file: Path) -> bool:
    """Whether a live process holds a lock; changes nothing."""
    owner = lock_owner(file)
    return owner is not None and _lives(owner)


def lock_owner(file: Path) -> Owner | None:
    """The owner that a lock's file names; None where there is none, or where its first line is still being written."""
    record = _lease(file).owner
    try:
        silent_s = time.time() - file.stat().st_mtime
    except OSError:
        return None
    return Owner(record.pid, record.hostname, silent_s) if record else None


NOBODY = Owner(0, "", 0.0)  # the lock's file is gone


def _other_owner(lease: SoftFileLease, file: Path) -> Owner | None:
    record = lease.owner
    if record is not None and record.token == lease.token:
        return None
    return lock_owner(file) or NOBODY


def _lease(file: Path, on_lost: Callable[[], None] | None = None) -> SoftFileLease:
    def lost(_: object) -> None:
        log.error("%s: the lock was lost to another process", file.name)
        if on_lost is not None:
            on_lost()

    return SoftFileLease(
        file,
        lease_duration=LEASE_S,
        heartbeat_interval=HEARTBEAT_S,
        on_compromise=lost,
        poll_interval=LOCK_POLL_S,
        thread_local=False,
    )


def _take_over(lease: SoftFileLease, file: Path, timeout: Timeout) -> None:
    """Wait until the lock of an owner that seems dead expires; refuse if the owner lives."""
    owner = lock_owner(file)
    if owner is None and file.exists() and time.time() - file.stat().st_mtime > LEASE_S:
        lease.force_break()  # killed between making the file and writing its name into it
    elif owner is None or _lives(owner):
        raise HeldError(owner) from timeout
    else:
        log.warning("%s: no sign of life from %s for %.0f s; watching it", file.name, owner, owner.silent_s)
    try:
        lease.acquire(timeout=LEASE_S + HEARTBEAT_S)  # the library takes over what it saw silent for LEASE_S itself
    except Timeout as error:
        raise HeldError(owner) from error


def _lives(owner: Owner) -> bool:
    if owner.silent_s > LEASE_S:
        return False
    return owner.host != _this_host() or _exists(owner.pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def _this_host() -> str:
    """This host as the library writes it into its files: with a mark in a container that has processes of its own."""
    with TemporaryDirectory() as folder, SoftFileLease(Path(folder) / "lock") as lease:
        owner = lease.owner
    return owner.hostname if owner else ""
