"""A SLURM cluster of one node on the loopback address, started and ended by the tests, as root or as a plain user."""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = {
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "sbatch": "slurm-wlm",
    "srun": "slurm-wlm",
    "munged": "munge",
}
SBIN = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # where a plain user's PATH does not look
HOST = socket.gethostname().partition(".")[0]
CPUS = 4  # of the node as SLURM sees it; the tests' jobs are small
START_S, STOP_S, PATIENCE_S = 30, 40, 900  # a minute or two on a machine with nothing else to do
PR_SET_PDEATHSIG = 1  # of prctl: a signal when the parent ends

CONF = """\
ClusterName=mandseg
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/munge.socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb}
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE PriorityTier=10
PartitionName=scavenge Nodes={host} MaxTime=INFINITE PriorityTier=1 GraceTime=0
PartitionName=graceful Nodes={host} MaxTime=INFINITE PriorityTier=1 GraceTime=10
"""


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its folder, and the environment for SLURM's commands."""

    root: Path
    env: dict[str, str]

    def ask(self, *words: str) -> str:
        """What a SLURM command prints."""
        return subprocess.run(
            words, env=self.env, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()

    def job(self, job_id: str) -> dict[str, str]:
        """SLURM's information on one job."""
        words = self.ask("scontrol", "--oneliner", "show", "job", job_id).split()
        return {word.partition("=")[0]: word.partition("=")[2] for word in words}

    def queue(self) -> list[str]:
        """The ids of the jobs that wait or run."""
        return self.ask("squeue", "--noheader", "--array", "--format", "%i").split()

    def wait_until_empty(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait for the last job to leave the queue."""
        deadline = time.monotonic() + timeout_s
        while self.queue():
            assert time.monotonic() < deadline, self.ask("squeue", "--long")
            time.sleep(0.5)

    def cancel_all(self) -> None:
        """Cancel what waits and runs, and wait for its end, or SLURM's own processes of the job would stay."""
        if queue := self.queue():
            self.ask("scancel", *queue)
        self.wait_until_empty(STOP_S)


def missing() -> list[str]:
    """The Debian packages whose programs are not here."""
    return sorted({package for program, package in PROGRAMS.items() if _find(program) is None})


@contextmanager
def running_cluster(root: Path) -> Iterator[Cluster]:
    """Start munge, the controller and the node's daemon in a folder of their own; all are gone afterwards."""
    for folder in ("state", "spool"):
        (root / folder).mkdir(parents=True)
    _write_settings(root)
    env = {**os.environ, "SLURM_CONF": str(root / "slurm.conf")}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"], *SBIN])
    for name in [name for name in env if name.startswith(("SLURM_", "SBATCH_")) and name != "SLURM_CONF"]:
        del env[name]
    cluster = Cluster(root, env)
    with ExitStack() as daemons:
        former = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a killed pytest cleans up, too
        daemons.callback(signal.signal, signal.SIGTERM, former)
        for words in _daemons(root):
            daemons.enter_context(_running(words, env))
        _wait_until_idle(cluster)
        daemons.callback(cluster.cancel_all)
        yield cluster


def _write_settings(root: Path) -> None:
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    ctld_port, slurmd_port = free_ports(2)
    settings = {"root": root, "host": HOST, "user": user, "cpus": CPUS, "memory_mb": memory_mb}
    (root / "slurm.conf").write_text(CONF.format(**settings, ctld_port=ctld_port, slurmd_port=slurmd_port))
    key = root / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)


def _daemons(root: Path) -> list[list[str]]:
    """The three commands, in the foreground, in the order in which they must start."""
    munge = [f"--{name}={root}/munge.{name.removesuffix('-file')}" for name in ("key-file", "pid-file", "log-file")]
    return [
        [
            "munged",
            "--foreground",
            "--force",
            *munge,
            f"--seed-file={root}/munge.seed",
            f"--socket={root}/munge.socket",
        ],
        ["slurmctld", "-D", "-f", f"{root}/slurm.conf"],
        ["slurmd", "-D", "-f", f"{root}/slurm.conf", "-N", HOST],
    ]


@contextmanager
def _running(words: Sequence[str], env: dict[str, str]) -> Iterator[None]:
    """Run a daemon; it ends afterwards, also if the tests are killed."""
    program = _find(words[0])
    assert program is not None
    process = subprocess.Popen(
        [program, *words[1:]],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_end_with_parent,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_idle(cluster: Cluster) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with suppress(subprocess.CalledProcessError):
            if "idle" in cluster.ask("sinfo", "--noheader", "--format", "%T"):
                return
        time.sleep(0.2)
    logs = [file.read_text()[-2000:] for file in sorted(cluster.root.glob("*.log"))]
    raise RuntimeError("the cluster does not come up\n" + "\n".join(logs))


def _find(program: str) -> str | None:
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *SBIN]))


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
