"""Starts and watches the processes of one run on several devices of this machine, one process per device.

Each process of a run (a rank) is a child of the sweep's process, as with torchrun. A rank that crashes ends its run and
not the sweep. The process group of a run ends with the run. This module does not import torch; the ranks do.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig, OmegaConf

from mandseg.runs.ownership import OwnedRun
from mandseg.system.cores import usable_cores
from mandseg.system.errors import UserError
from mandseg.system.files import write_text
from mandseg.system.signals import TRY_AGAIN, Interruption

log = logging.getLogger(__name__)

RANK_POLL_S = 0.1
GRACE_S = 15.0  # after the end of a rank, the others have this time to end; a rank that waits in a collective is killed


class RankError(Exception):
    """A process of the run crashed."""


def start_ranks(cfg: DictConfig, owned: OwnedRun, size: int, interruption: Interruption) -> None:
    """Run one condition in ``size`` processes of this machine and wait for their end.

    Raises:
        UserError: A rank found wrong input.
        RankError: A rank crashed, with the reason; the others have ended.
        Interrupted: A signal asked to stop; every rank got it and saved its state.
    """
    write_text(owned.files.config_file, OmegaConf.to_yaml(cfg, resolve=True))
    owned.update(state="running")  # the processes read the condition from run.json
    with TemporaryDirectory(prefix="mandseg-") as outcomes, interruption.waits():
        files = [Path(outcomes) / str(rank) for rank in range(size)]
        ranks = _spawn(owned.folder, files)
        try:
            failed = _watch(ranks, owned, interruption)
        finally:
            _end(ranks)
            owned.record = owned.files.facts()
        if failed is not None:
            raise _reason(failed, ranks, files)
        if any(rank.returncode == TRY_AGAIN for rank in ranks) and interruption.signum is None:
            interruption.signum = signal.SIGTERM  # a rank got the signal, not this process


def die_with_parent() -> None:
    """End this process when its parent has ended: standard input is a pipe, which closes then."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _spawn(folder: Path, outcomes: Sequence[Path]) -> list[subprocess.Popen[bytes]]:
    size = len(outcomes)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(size), "NODE_RANK": "0"}
    shared |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, usable_cores() // size)))}
    ranks = []
    for rank, outcome in enumerate(outcomes):
        ranks.append(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "mandseg.runs.ddp.worker", str(folder), str(outcome)],
                env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches only this process, which sends it to the ranks once
            )
        )
    return ranks


def _watch(ranks: Sequence[subprocess.Popen[bytes]], owned: OwnedRun, interruption: Interruption) -> int | None:
    """Wait until all ranks have succeeded (None) or one has failed (its number); send each a received signal."""
    while True:
        codes = [rank.poll() for rank in ranks]
        if failed := {n: code for n, code in enumerate(codes) if code not in (None, 0, TRY_AGAIN)}:
            return min(failed, key=lambda n: (failed[n] > 0, n))  # the others lose their connection to a killed one
        if None not in codes:
            return None
        owned.check()
        if interruption.save_wanted:
            for rank in ranks:
                rank.send_signal(interruption.signum or signal.SIGTERM)
            interruption.save_wanted = False
        time.sleep(RANK_POLL_S)


def _end(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    """End all ranks that still run."""
    until = time.monotonic() + GRACE_S
    while any(rank.poll() is None for rank in ranks) and time.monotonic() < until:
        time.sleep(RANK_POLL_S)
    for rank in ranks:
        if rank.poll() is None:
            rank.kill()
        rank.wait()
        if rank.stdin is not None:
            rank.stdin.close()


def _reason(first: int, ranks: Sequence[subprocess.Popen[bytes]], outcomes: Sequence[Path]) -> UserError | RankError:
    """The error of the first rank that failed; the others fail because it has ended."""
    written = [(file.stat().st_mtime_ns, rank, file) for rank, file in enumerate(outcomes) if file.exists()]
    outcomes_by_time = [(rank, json.loads(file.read_text())) for _, rank, file in sorted(written)]
    for _, outcome in outcomes_by_time:
        if outcome["wrong_input"]:
            return UserError(outcome["lines"])
    if outcomes[first].exists():
        rank, outcome = outcomes_by_time[0]
        return RankError(f"rank {rank} of {len(ranks)}: {' | '.join(outcome['lines'])}")
    code = ranks[first].returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return RankError(f"rank {first} of {len(ranks)} {how}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
