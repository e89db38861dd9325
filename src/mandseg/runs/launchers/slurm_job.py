"""One cell of a grid as a SLURM job: runs the training command, and lets an interrupted job be requeued.

Only submitit requeues the job, at its signal (USR2, before a time limit). The training is a child process, which also
gets every signal from SLURM. At SIGTERM the training saves its state and continues; at USR2 it saves and ends. The
state of the run is read from the run folder.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mandseg.runs.folder import RunFolder
from mandseg.system.files import write_text
from mandseg.system.lock import lock_owner
from mandseg.system.signals import TRY_AGAIN

CHILD_POLL_S = 0.2
STOPPED = (TRY_AGAIN, -signal.SIGTERM, -signal.SIGUSR2)  # exit codes; negative: before it handles signals


@dataclass
class Job:
    """The function that submitit calls on the node, once in each process of the run.

    Attributes:
        command: The training of one run.
        folder: Its run folder.
        notice_s: Time between SLURM's signal and the end of the job.
        child: The running training.
    """

    command: list[str]
    folder: Path
    notice_s: float
    child: "subprocess.Popen[bytes] | None" = field(default=None, repr=False, compare=False)

    def __call__(self) -> None:
        """Run the training; the job has its exit code, so that SLURM shows a failed run as failed.

        Raises:
            SystemExit: The run failed, or was interrupted and SLURM does not run it again.
        """
        if os.environ.get("SLURM_PROCID", "0") != "0":
            code = self._train()
            if code != 0:
                time.sleep(self.notice_s)  # the first process reports the reason or is requeued
        else:
            self._release_run()
            code = self._train(self._trace)
            if code in STOPPED and not self.is_done:
                _requeue_job()
            self._trace.unlink(missing_ok=True)
        if code != 0:
            sys.exit(code if code > 0 else 128 - code)

    def checkpoint(self) -> Any:
        """Wait for the end of the training and return the same job again; submitit calls this at its signal."""
        from submitit.core.utils import DelayedSubmission

        self._await_end()
        if self.is_done:
            sys.exit(0)
        return DelayedSubmission(replace(self, child=None))

    def _train(self, trace: Path | None = None) -> int:
        """Run the training to its end; a file in the run folder names its process."""
        threads = os.environ.get("SLURM_CPUS_PER_TASK", "1")
        self.child = subprocess.Popen(self.command, env={"OMP_NUM_THREADS": threads, **os.environ})
        if trace is not None:
            write_text(trace, json.dumps({"pid": self.child.pid, "host": socket.gethostname()}))
        while not _has_ended(self.child.pid):
            time.sleep(CHILD_POLL_S)
        return self.child.wait()

    @property
    def is_done(self) -> bool:
        """Whether the run is done, according to its folder."""
        return RunFolder(self.folder).is_done()

    @property
    def _trace(self) -> Path:
        """A file with the last process that trained for this job. It is removed at the regular end of the job."""
        return RunFolder(self.folder).slurm_file(os.environ["SLURM_JOB_ID"])

    def _release_run(self) -> None:
        """Remove the lock that this job left on a failed node; otherwise it counts as alive for minutes.

        SLURM starts a job again only after the end of its former processes.
        """
        if not self._trace.exists():
            return
        lock = RunFolder(self.folder).lock_file
        owner, former = lock_owner(lock), json.loads(self._trace.read_text())
        if owner is not None and (owner.pid, owner.host.partition("?")[0]) == (former["pid"], former["host"]):
            lock.unlink(missing_ok=True)

    def _await_end(self) -> None:
        """Wait for the training, which also gets SLURM's signal. Repeat the signal, and kill it shortly before the end.

        After a kill, the next start continues from the last regular checkpoint.
        """
        if self.child is None:
            return
        for share, signum in ((0.6, signal.SIGUSR2), (0.2, signal.SIGKILL)):
            deadline = time.monotonic() + share * self.notice_s
            while time.monotonic() < deadline:
                if _has_ended(self.child.pid):
                    return
                time.sleep(CHILD_POLL_S)
            self.child.send_signal(signum)


def _has_ended(pid: int) -> bool:
    """Whether a child process has ended. Unlike Popen.wait, it takes no lock and leaves the exit code to be read.

    The signal handler also calls this, at any point of the code that it interrupts.
    """
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _requeue_job() -> None:
    """Let an interrupted job that SLURM does not end be requeued, e.g. after the first SIGTERM of a preemption.

    submitit requeues it at its own signal. A job that SLURM is ending (cancelled, or requeued by SLURM) is not
    changed.
    """
    if _slurm_state() == "RUNNING":
        signal.raise_signal(signal.SIGUSR2)


def _slurm_state() -> str:
    query = ["scontrol", "--oneliner", "show", "job", os.environ["SLURM_JOB_ID"]]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    states = [word.partition("=")[2] for word in shown.split() if word.startswith("JobState=")]
    return states[0] if states else ""
