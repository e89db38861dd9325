"""A cell's SLURM job, without SLURM: exit codes, requeues, and the lock of the job's earlier process."""

import json
import os
import signal
import socket
import sys
import time

import pytest

from mandseg.runs.folder import LOCK, RECORD
from mandseg.runs.launchers.slurm_job import Job
from mandseg.system.lock import is_held, lock_owner, locked
from mandseg.system.signals import TRY_AGAIN


@pytest.fixture(autouse=True)
def slurm(monkeypatch, tmp_path):
    """The environment of a job's first task, and a controller for which the job runs."""
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_CPUS_PER_TASK": "3"}.items():
        monkeypatch.setenv(name, value)
    controller(tmp_path, "RUNNING")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def controller(folder, state):
    (folder / "scontrol").write_text(f"#!/bin/sh\necho JobId=7 JobState={state} Reason=None\n")
    (folder / "scontrol").chmod(0o755)


def job(folder, code="", state=None):
    """A job whose training is a line of Python, and whose run ends in a state."""
    ends = f"import pathlib; pathlib.Path({str(folder / RECORD)!r}).write_text({json.dumps({'state': state})!r})\n"
    return Job([sys.executable, "-c", (ends if state else "") + code], folder, notice_s=2)


@pytest.fixture
def requeues():
    """How often submitit's signal came."""
    came = []
    former = signal.signal(signal.SIGUSR2, lambda *_: came.append(1))
    yield came
    signal.signal(signal.SIGUSR2, former)


def exit_code(job):
    with pytest.raises(SystemExit) as stop:
        job()
    return stop.value.code


def test_a_done_run_is_a_good_job_with_the_jobs_cores_as_threads(monkeypatch, tmp_path):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    out = tmp_path / "threads"
    job(tmp_path, f"import os; open({str(out)!r}, 'w').write(os.environ['OMP_NUM_THREADS'])", "done")()
    assert out.read_text() == "3"
    assert not list(tmp_path.glob(".slurm-*"))


@pytest.mark.parametrize(
    ("code", "expected"),
    [("raise SystemExit(1)", 1), ("raise SystemExit(2)", 2), ("import os; os.kill(os.getpid(), 9)", 137)],
)
def test_a_failed_or_killed_training_is_a_failed_job_that_is_not_requeued(tmp_path, requeues, code, expected):
    (tmp_path / RECORD).write_text('{"state": "interrupted"}')  # of an earlier try
    assert exit_code(job(tmp_path, code)) == expected
    assert not requeues


@pytest.mark.parametrize("code", [f"raise SystemExit({TRY_AGAIN})", "import os; os.kill(os.getpid(), 15)"])
def test_an_interrupted_training_goes_back_to_the_queue_unless_slurm_ends_the_job(tmp_path, requeues, code):
    exit_code(job(tmp_path, code))
    assert len(requeues) == 1
    controller(tmp_path, "CANCELLED")
    exit_code(job(tmp_path, code))
    assert len(requeues) == 1


def test_at_the_signal_the_training_is_waited_for_and_the_same_job_is_to_go_on(tmp_path):
    pytest.importorskip("submitit")
    saves = "import signal, time\nsignal.signal(signal.SIGUSR2, lambda *_: exit(75))\ntime.sleep(60)"
    waiting = job(tmp_path, saves)
    former = signal.signal(signal.SIGALRM, lambda *_: at_signal())
    again = []

    def at_signal():
        os.kill(waiting.child.pid, signal.SIGUSR2)  # as SLURM does, which signals every process of the job
        again.append(waiting.checkpoint())
        raise SystemExit

    try:
        signal.setitimer(signal.ITIMER_REAL, 0.7)
        start = time.monotonic()
        exit_code(waiting)
    finally:
        signal.signal(signal.SIGALRM, former)
    assert time.monotonic() - start < 30
    assert (again[0].function.command, again[0].function.child) == (waiting.command, None)
    waiting.child.wait()


def test_a_training_that_does_not_listen_is_killed_before_the_job_is(tmp_path):
    pytest.importorskip("submitit")
    deaf = job(tmp_path, "import signal, time\nsignal.signal(signal.SIGUSR2, signal.SIG_IGN)\ntime.sleep(60)")
    former = signal.signal(signal.SIGALRM, lambda *_: sys.exit(deaf.checkpoint() and 9))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        assert exit_code(deaf) != 0
    finally:
        signal.signal(signal.SIGALRM, former)
    assert deaf.child.wait(timeout=5) == -signal.SIGKILL


def test_a_requeued_job_removes_the_lock_of_its_former_self_and_no_other(tmp_path):
    lock = tmp_path / LOCK
    with locked(lock):
        left = lock.read_bytes()
        owner = lock_owner(lock)
    for pid, freed in ((owner.pid, True), (owner.pid + 1, False)):
        lock.write_bytes(left)
        assert is_held(lock)
        (tmp_path / ".slurm-7").write_text(json.dumps({"pid": pid, "host": socket.gethostname()}))
        job(tmp_path, "", "done")()
        assert lock.exists() != freed
