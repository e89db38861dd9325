"""A grid on a real SLURM: each cell runs once, whatever the cluster does, and gives what it gives elsewhere."""

import json
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from conftest import ON_SLURM, Bench

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

GRID = ["noise_ratio=0,0.2,0.5,1.0", "seed=0,1"]


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def test_a_grid_submitted_twice_at_once_runs_each_cell_once_and_equals_the_local_one(bench: Bench):
    local = bench.train("-m", "study=local", "hydra/launcher=local", "hydra.launcher.jobs=2", *GRID)
    assert local.returncode == 0, local.stderr
    twice = [bench.start("-m", "study=grid", *ON_SLURM, *GRID) for _ in range(2)]
    for process in twice:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    bench.cluster.wait_until_empty(300)
    assert len(bench.runs("grid")) == 8
    assert {record(run)["state"] for run in bench.runs("grid")} == {"done"}
    pd.testing.assert_frame_equal(bench.scores("grid"), bench.scores("local"))
    logs = bench.logs("grid")
    trained = [text for text in logs if "left to it" not in text and "nothing to do" not in text]
    assert len(trained) == 8
