"""The commands that the tests of this folder run on a cohort of 24-voxel cases, and their results."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from cluster import Cluster

from mandseg.data.case import Case
from mandseg.data.volume import Volume, write_volume

SMALL = [
    "data=folder",
    "noise=recorded",
    "tracking=none",
    "trainer=cpu",
    "trainer.precision=32-true",
    "trainer.enable_progress_bar=false",
    "steps=4",
    "validations=2",
    "patches.patch_size=[16,16,16]",
    "model.network.channels=[4,8]",
    "model.network.strides=[2]",
    "preprocessing.spacing_mm=[4,4,4]",
]
ON_SLURM = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=0.5"]


@dataclass(frozen=True)
class Bench:
    """Where the commands of the tests run, and what they leave there."""

    cluster: Cluster
    folder: Path
    words: list[str]

    def start(self, *words: str, **env: str) -> "subprocess.Popen[str]":
        """Start ``python -m mandseg.train``; options come first."""
        options = [word for word in words if word == "-m"]
        settings = [word for word in words if word != "-m"]
        command = [sys.executable, "-m", "mandseg.train", *options, *self.words, *settings]
        own = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "MASTER_ADDR": "127.0.0.1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env={**self.cluster.env, **own, **env}, **pipes)

    def train(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        process = self.start(*words, **env)
        out, err = process.communicate(timeout=900)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def submit(self, study: str, *words: str, **env: str) -> str:
        """Submit runs of a study and leave; the id of the last job."""
        done = self.train("-m", f"study={study}", *ON_SLURM, *words, **env)
        assert done.returncode == 0, done.stderr
        return self.jobs(study)[-1]

    def jobs(self, study: str) -> list[str]:
        """The ids of all jobs of a study."""
        files = sorted((self.folder / "outputs" / study).glob("slurm/*/jobs.csv"))
        return [line.rpartition(",")[2] for file in files for line in file.read_text().splitlines()[1:]]

    def status(self, study: str) -> str:
        """What ``mandseg status`` prints, on a wide terminal."""
        command = [sys.executable, "-m", "mandseg.cli.main", "status", f"outputs/{study}"]
        env = {**self.cluster.env, "COLUMNS": "200"}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True).stdout

    def runs(self, study: str) -> list[Path]:
        """The run folders of a study."""
        return sorted(file.parent for file in (self.folder / "outputs" / study).glob("*/run.json"))

    def record(self, study: str) -> dict:
        """run.json of a study of one run."""
        (run,) = self.runs(study)
        return json.loads((run / "run.json").read_text())

    def wait_for_step(self, study: str, step: int, timeout_s: float = 300) -> None:
        """Wait until the run of a study has trained so far."""
        deadline = time.monotonic() + timeout_s
        while not any(_last_step(run) >= step for run in self.runs(study)):
            assert time.monotonic() < deadline, self.logs(study)
            time.sleep(0.2)

    def scores(self, study: str) -> pd.DataFrame:
        """The scores of all runs of a study, without the times."""
        tables = [pd.read_csv(folder / "cases.csv") for folder in self.runs(study)]
        return pd.concat(tables, ignore_index=True).drop(columns="seconds")

    def logs(self, study: str) -> list[str]:
        """What each of a study's jobs printed."""
        return [file.read_text() for file in sorted((self.folder / "outputs" / study).glob("slurm/*/*_log.out"))]


def small_case(root: Path, number: int, name: str, split: str) -> Case:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    bone = np.zeros((24, 24, 24), bool)
    bone[8:17, 8 : 15 + number % 3, 8:17] = True
    ct = np.full(bone.shape, -1000, np.int16)
    ct[4:20, 4:20, 4:20] = 40
    ct[bone] = 1000 + number
    files = {"image": ct, "reference": bone, "noisy": np.roll(bone, 1, axis=0)}
    paths = {kind: root / f"{name}_{kind}.nii.gz" for kind in files}
    for kind, array in files.items():
        write_volume(paths[kind], Volume(array, affine))
    return Case(name, name, split, paths["image"], paths["reference"], paths["noisy"])


def _last_step(run: Path) -> int:
    curve = run / "learning_curve.csv"
    return int(curve.read_text().splitlines()[-1].split(",")[0]) if curve.exists() else -1
