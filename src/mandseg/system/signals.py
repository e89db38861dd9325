"""Signals that ask a run to stop: the present step is finished and saved, then the former handler is called.

SIGTERM, SIGINT, SIGUSR1 and SIGUSR2. A training run stops at its next step, any other at once. A handler
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
REQUEUE_WAIT_S = 60.0  # of a task whose job another task requeues


class Interrupted(BaseException):  # not an Exception: no library may catch it
    """The run was asked to stop; the next start continues from the saved state."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"stopped by {signal.Signals(signum).name}")


class Interruption:
    """What a signal asked a run to do.

    Attributes:
        signum: The signal that asked to stop; None so far.
        save_wanted: Whether to save at the next step, also if the run then continues.
        owns_signals: Whether the signals come here.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.save_wanted = False
        self.owns_signals = False
        self._waits = False

    @contextmanager
    def waits(self) -> Iterator[None]:
        """While the block runs, a signal is only recorded and the block polls it. The block's end raises it."""
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
    """Turn signals into Interrupted while the block runs; afterwards call the former handler."""
    interruption = Interruption()
    former: dict[int, Any] = {}
    try:
        for signum in SIGNALS:
            former[signum] = signal.signal(signum, interruption.handle)
    except ValueError:  # not the main thread, which alone may set handlers
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
                time.sleep(REQUEUE_WAIT_S)  # it did not: this is not the job's first task, and ends with it


def reclaim_signals(interruption: Interruption) -> None:
    """Make an interruption the only owner of its signals again, after a library put handlers of its own there."""
    if interruption.owns_signals:
        for signum in SIGNALS:
            signal.signal(signum, interruption.handle)


def is_slurm_warning_signal() -> bool:
    """Whether SIGTERM comes from SLURM, which kills after a while and requeues by itself what did not end before."""
    return "SLURM_STEP_ID" in os.environ or "SLURM_JOB_ID" in os.environ
