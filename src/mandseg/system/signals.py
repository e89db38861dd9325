"""Signals that ask a run to stop: the step in hand is finished and saved first, then whoever owned the signal goes on.

SIGTERM, SIGINT, SIGUSR1 and SIGUSR2. A run that trains is told at its next step; otherwise it stops at once. A handler
that was there before (submitit's, which requeues the job) keeps its signal: it is called when everything is saved.
"""

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
TRY_AGAIN = 75  # exit code; EX_TEMPFAIL of sysexits.h
PATIENCE_S = 60.0  # of a task whose job another task requeues


class Interrupted(BaseException):  # no Exception: no library may swallow it
    """The run was asked to stop; the next start goes on from what it saved."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"stopped by {signal.Signals(signum).name}")


class Interruption:
    """What was asked of a run by a signal.

    Attributes:
        signum: The signal that asked to stop; None so far.
        save_wanted: Whether to save at the next step, whatever comes after.
        owns_signals: Whether the signals come here.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.save_wanted = False
        self.owns_signals = False
        self._waits = False

    @contextmanager
    def waits(self) -> Iterator[None]:
        """While the block runs, a signal is noted only, and the block asks; at its end it is raised at the latest."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        self.raise_if_asked()

    def raise_if_asked(self) -> None:
        """Raise Interrupted if a signal asked to stop."""
        if self.signum is not None:
            raise Interrupted(self.signum)

    def handle(self, signum: int, _: FrameType | None) -> None:
        """The handler of every signal."""
        if signum == signal.SIGTERM and is_slurm_warning_signal():
            log.warning("SIGTERM: SLURM is about to kill this job; saving, and going on until then")
            self.save_wanted = True
            return
        if self._waits and self.signum is None:
            log.warning("%s: stopping after this step", signal.Signals(signum).name)
            self.signum, self.save_wanted = signum, True
            return
        self.signum = signum
        raise Interrupted(signum)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn signals into Interrupted while the block runs; afterwards the former handler has its turn."""
    interruption = Interruption()
    former: dict[int, Any] = {}
    try:
        for signum in SIGNALS:
            former[signum] = signal.signal(signum, interruption.handle)
    except ValueError:  # not the main thread: whoever started the thread owns the signals
        yield interruption
        return
    interruption.owns_signals = True
    try:
        yield interruption
    finally:
        interruption.owns_signals = False
        for signum, handler in former.items():
            signal.signal(signum, handler)
        owner = former.get(interruption.signum or 0)
        if callable(owner) and owner is not signal.default_int_handler:
            owner(interruption.signum, None)  # submitit's requeues the job and ends this process
            if is_slurm_warning_signal():
                time.sleep(PATIENCE_S)  # it did not: this is not the job's first task, and ends with it


def reclaim_signals(interruption: Interruption) -> None:
    """Make an interruption the only owner of its signals again, after a library put handlers of its own there."""
    if interruption.owns_signals:
        for signum in SIGNALS:
            signal.signal(signum, interruption.handle)


def is_slurm_warning_signal() -> bool:
    """Whether SIGTERM comes from SLURM, which kills after a while and requeues by itself what did not end before."""
    return "SLURM_STEP_ID" in os.environ or "SLURM_JOB_ID" in os.environ
