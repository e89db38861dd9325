"""One cell of a grid as a SLURM job: runs the training command, and has the job requeued where it was interrupted.

Only submitit requeues the job, at its signal (USR2, before a time limit). The training is a child process, and SLURM
sends it every signal, too. At SIGTERM the training saves its state and continues; at USR2 it saves and ends. The state
of the run is read from the run folder.
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

POLL_S = 0.2
STOPPED = (TRY_AGAIN, -signal.SIGTERM, -signal.SIGUSR2)  # exit codes; the last two: before the training could listen


@dataclass
class Job:
    """What submitit calls on the node, once in each process of the run.

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
        """Run the training; the exit code is its own, so that SLURM shows a failed run as failed.

        Raises:
            SystemExit: The run failed, or was interrupted and is not SLURM's to run again.
        """
        if os.environ.get("SLURM_PROCID", "0") != "0":
            code = self._train()
            if code != 0:
                time.sleep(self.notice_s)  # the first process reports the reason or requeues
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
        """Run the training to its end; its process is named in a file beside the run's others."""
        self.child = subprocess.Popen(self.command, env=_environment())
        if trace is not None:
            write_text(trace, json.dumps({"pid": self.child.pid, "host": socket.gethostname()}))
        while not _has_ended(self.child.pid):
            time.sleep(POLL_S)
        return self.child.wait()

    @property
    def is_done(self) -> bool:
        """Whether the run is done, by its folder."""
        return RunFolder(self.folder).is_done()

    @property
    def _trace(self) -> Path:
        """A file with the process that trained for this job last. It is removed when the job ends by itself."""
        return RunFolder(self.folder).slurm_file(os.environ["SLURM_JOB_ID"])

    def _release_run(self) -> None:
        """Remove the lock that this job left on a node that died; without that it counts as alive for minutes.

        SLURM starts a job again only when its former processes are gone.
        """
        if not self._trace.exists():
            return
        lock = RunFolder(self.folder).lock_file
        owner, former = lock_owner(lock), json.loads(self._trace.read_text())
        if owner is not None and (owner.pid, owner.host.partition("?")[0]) == (former["pid"], former["host"]):
            lock.unlink(missing_ok=True)

    def _await_end(self) -> None:
        """SLURM signals the training, too. One that does not end is asked once more, and killed shortly before the job.

        The next start continues from the last regular checkpoint.
        """
        if self.child is None:
            return
        for share, signum in ((0.6, signal.SIGUSR2), (0.2, signal.SIGKILL)):
            deadline = time.monotonic() + share * self.notice_s
            while time.monotonic() < deadline:
                if _has_ended(self.child.pid):
                    return
                time.sleep(POLL_S)
            self.child.send_signal(signum)


def _has_ended(pid: int) -> bool:
    """Whether a child process has ended; leaves its exit code to be read, and takes no lock, as Popen.wait does.

    The signal handler calls this, too, at any point of the code that it interrupts.
    """
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _environment() -> dict[str, str]:
    """The training's environment: as many threads as the job has cores for each process."""
    return {"OMP_NUM_THREADS": os.environ.get("SLURM_CPUS_PER_TASK", "1"), **os.environ}


def _requeue_job() -> None:
    """Have a job requeued that was interrupted while SLURM means it to run, e.g. by the first SIGTERM of a preemption.

    submitit does it, at its own signal. A job that SLURM is ending (cancelled, or requeued by SLURM itself) is left to
    it.
    """
    if _slurm_state() == "RUNNING":
        signal.raise_signal(signal.SIGUSR2)


def _slurm_state() -> str:
    query = ["scontrol", "--oneliner", "show", "job", os.environ["SLURM_JOB_ID"]]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    states = [word.partition("=")[2] for word in shown.split() if word.startswith("JobState=")]
    return states[0] if states else ""
