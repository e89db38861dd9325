"""What can befall a small sweep: kills, full and read-only disks, files that vanish, lost locks, a dead W&B server.

Every disaster ends with the same command, which must finish the sweep bit for bit like an undisturbed one.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pandas as pd
import torch

from tiny_cohort import words, write_tiny_cohort
from warm_processes import WarmProcesses

RATIOS = "noise_ratio=0,0.5"
PATIENCE_S = 300.0


class Sweep:
    """A sweep of two runs on a tiny cohort, in folders of its own; several of these share a nursery."""

    def __init__(self, folder: Path, nursery: Path, name: str) -> None:
        self.root = folder / name
        self.root.mkdir(parents=True, exist_ok=True)
        if not (folder / "cohort").exists():
            write_tiny_cohort(folder / "cohort")
        self.processes = WarmProcesses(self.root, nursery)
        self.words = ["-m", *words(folder / "cohort", self.root / "outputs"), "checkpoint_minutes=0"]
        self.words = [word for word in self.words if not word.startswith("noise_ratio")] + [RATIOS]

    def start(self, *more: str, env: dict[str, str] | None = None) -> int:
        return self.processes.start([*self.words, *more], env=env)

    def run(self, *more: str, env: dict[str, str] | None = None) -> int:
        return self.processes.run([*self.words, *more], env=env)

    def runs(self) -> list[Path]:
        return sorted(file.parent for file in (self.root / "outputs" / "s").glob("*/run.json"))

    def wait_for(self, is_true: Callable[[], bool]) -> None:
        """Wait until something is true.

        Raises:
            TimeoutError: It does not come true.
        """
        end = time.monotonic() + PATIENCE_S
        while not is_true():
            if time.monotonic() > end:
                raise TimeoutError(self.processes.log.read_text())
            time.sleep(0.02)

    def trains(self) -> bool:
        """Whether a run has saved a checkpoint."""
        return any((self.root / "outputs" / "s").glob("*/checkpoints/*/last.ckpt"))

    def outcome(self) -> str:
        """A digest of all weights, learning curves and scores.

        Raises:
            AssertionError: A run is not done.
        """
        digest = hashlib.sha256()
        runs = self.runs()
        assert len(runs) == 2, self.processes.log.read_text()
        for run in runs:
            assert json.loads((run / "run.json").read_text())["state"] == "done"
            for name in ("last", "best"):
                weights = torch.load(run / "checkpoints" / "train" / f"{name}.ckpt", weights_only=True)["state_dict"]
                for key, tensor in weights.items():
                    digest.update(key.encode() + tensor.numpy().tobytes())
            curve = pd.read_csv(run / "learning_curve.csv", dtype=str).set_index("step").sort_index(axis=1)
            digest.update(curve.to_csv().encode())
            digest.update(pd.read_csv(run / "cases.csv", dtype=str).drop(columns="seconds").to_csv().encode())
        return digest.hexdigest()

    def assert_one_line(self, code: int, wanted: tuple[int, ...]) -> None:
        """The last start ended with one of some exit codes and without a traceback of mandseg."""
        log = self.processes.log.read_text()
        assert code in wanted, log
        assert "Traceback" not in log, log


# The disasters: each gives what it did, as words ----------------------------------------------------------------------


def kill(folder: Path, nursery: Path, wanted: str, kills: int, seed: int = 0) -> str:
    """SIGKILL at random moments, again and again until each sweep is done."""
    rng, done, sweeps, longest = Random(seed), 0, 0, 6.0
    while done < kills:
        sweep = Sweep(folder, nursery, f"kill{seed}-{sweeps}")
        while done < kills:
            start = time.monotonic()
            pid = sweep.start()
            pause = rng.uniform(0.2, longest)
            with suppress(ProcessLookupError):
                while time.monotonic() < start + pause:
                    time.sleep(0.02)
                    os.kill(pid, 0)
                os.kill(pid, signal.SIGKILL)
            code = sweep.processes.end()
            if code == 0:
                longest = max(time.monotonic() - start, 1.0)
                break
            assert code == -signal.SIGKILL, sweep.processes.log.read_text()
            done += 1
            longest *= 1.1  # so that a sweep ends on a slow machine, too
        else:
            assert sweep.run() == 0
        sweeps += 1
        assert sweep.outcome() == wanted
        shutil.rmtree(sweep.root)
    return f"{done} kills in {sweeps} sweeps of two runs"


def vanish(folder: Path, nursery: Path, wanted: str) -> str:
    """The files of the cache are removed while a run trains."""
    sweep = Sweep(folder, nursery, "vanish")
    sweep.start()
    sweep.wait_for(sweep.trains)
    shutil.rmtree(sweep.root / "cache")
    sweep.assert_one_line(sweep.processes.end(), (0, 1, 2))
    assert sweep.run() == 0, sweep.processes.log.read_text()
    assert sweep.outcome() == wanted
    return "the whole cache removed in a training"


def flip(folder: Path, nursery: Path, wanted: str, count: int = 3) -> str:
    """One bit is flipped in files of a complete cache."""
    sweep = Sweep(folder, nursery, "flip")
    assert sweep.run() == 0
    rng = Random(0)
    files = sorted(file for file in (sweep.root / "cache" / "cases").rglob("*.npy"))
    for file in rng.sample(files, count):
        whole = bytearray(file.read_bytes())
        whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        file.chmod(0o644)
        file.write_bytes(whole)
    shutil.rmtree(sweep.root / "outputs")
    assert sweep.run() == 0, sweep.processes.log.read_text()
    assert sweep.outcome() == wanted
    return f"{count} bits"


def suspend(folder: Path, nursery: Path, wanted: str) -> str:
    """A process is stopped, another finishes its runs (the lock was lost), and the first wakes up."""
    sweep, successor = Sweep(folder, nursery, "suspend"), Sweep(folder, nursery, "suspend")
    pid = sweep.start()
    sweep.wait_for(sweep.trains)
    os.kill(pid, signal.SIGSTOP)
    for lock in (sweep.root / "outputs").rglob("*.lease"):
        lock.unlink()
    assert successor.run() == 0, successor.processes.log.read_text()
    before = _files(sweep.root / "outputs" / "s", "*/*")
    os.kill(pid, signal.SIGCONT)
    sweep.assert_one_line(sweep.processes.end(), (0, 1))
    after = _files(sweep.root / "outputs" / "s", "*/*")
    assert after == before, [name for name in after | before if after.get(name) != before.get(name)]
    assert sweep.outcome() == wanted
    return "1 process, stopped until its runs were done by another"


def lose_server(folder: Path, nursery: Path, wanted: str) -> str:
    """No W&B server answers."""
    sweep = Sweep(folder, nursery, "server")
    sweep.words.remove("tracking=none")
    env = {"WANDB_MODE": "online", "WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    assert sweep.run("tracking.mode=online", "tracking.init_timeout_s=2", env=env) == 0, sweep.processes.log.read_text()
    assert "Traceback" not in sweep.processes.log.read_text()
    assert sweep.outcome() == wanted
    return "1 sweep, connection refused"


def fill(folder: Path, nursery: Path, wanted: str, sizes_kib: tuple[int, ...] = (8, 60, 150, 300)) -> str:
    """The disk is full at some stage, and has room again."""
    stages = []
    for size in sizes_kib:
        sweep = Sweep(folder, nursery, f"full{size}")
        with _disk(sweep.root / "outputs", size):
            code = sweep.run()
            sweep.assert_one_line(code, (0, 1, 2))
            assert code, f"{size} KiB are enough"
            stages.append(_stage(sweep))
            _mount("remount,size=64m", sweep.root / "outputs")
            assert sweep.run() == 0, sweep.processes.log.read_text()
            assert sweep.outcome() == wanted
    return f"{len(sizes_kib)} disks, full in: {', '.join(stages)}"


def forbid(folder: Path, nursery: Path, wanted: str) -> str:
    """Outputs or cache lie on a disk that is read-only."""
    for name in ("outputs", "cache"):
        sweep = Sweep(folder, nursery, f"read-only-{name}")
        with _disk(sweep.root / name, 64 * 1024):
            _mount("remount,ro", sweep.root / name)
            sweep.assert_one_line(sweep.run(), (2,))
            _mount("remount,rw", sweep.root / name)
            assert sweep.run() == 0, sweep.processes.log.read_text()
            assert sweep.outcome() == wanted
    return "outputs, cache"


AS_ROOT = (fill, forbid)
DISASTERS = {
    "the cache vanishes during a training": vanish,
    "flipped bits in the cache": flip,
    "a process sleeps, another finishes its runs, it wakes up": suspend,
    "the W&B server refuses": lose_server,
    "the disk is full": fill,
    "the disk is read-only": forbid,
}


def can_mount() -> bool:
    """Whether this process may mount a small disk."""
    if os.geteuid() != 0:
        return False
    place = Path("/tmp") / f"mandseg-mount-{os.getpid()}"
    place.mkdir()
    try:
        with _disk(place, 64):
            return True
    except subprocess.CalledProcessError:
        return False
    finally:
        place.rmdir()


@contextmanager
def _disk(place: Path, size_kib: int) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    _mount(f"size={size_kib}k", place)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _mount(options: str, place: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    subprocess.run(command, check=True, capture_output=True)


def _stage(sweep: Sweep) -> str:
    """How far the first run came."""
    for run in sweep.runs()[:1]:
        for name in ("cases.csv", "overlays", "checkpoints", "noise_applied.csv", "run.json"):
            if (run / name).exists():
                return f"after {name}"
    return "at the start"


def _files(folder: Path, pattern: str) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.glob(pattern) if file.is_file() and file.suffix != ".log"}
