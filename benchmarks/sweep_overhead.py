"""What does a sweep cost beside training and evaluation? Seconds a run, and how long a run must be for 5 % or less.

Run: python benchmarks/sweep_overhead.py [--runs 4] [--steps 100], on a machine with nothing else to do.

Wall time of a grid on phantoms whose caches are warm, less what its runs say they trained and evaluated: starting
Python, composing, importing, finding the prepared cases, locks, folders. Hydra's own launcher runs all cells in one
process, hydra/launcher=local (like SLURM) starts one for each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 0.05
SMALL = [
    "preprocessing.spacing_mm=[3,3,3]",
    "patches.patch_size=[48,48,48]",
    "sliding_window.patch_size=[96,96,64]",
    "trainer=cpu",
    "trainer.precision=32-true",
    "trainer.enable_progress_bar=false",
    "tracking=none",
    "validations=1",
]


def grid(folder: Path, study: str, runs: int, steps: int, *words: str) -> tuple[float, float]:
    """Wall seconds of a grid, and seconds that its runs trained and evaluated."""
    settings = [*SMALL, f"study={study}", f"steps={steps}", f"seed=range({runs})", *words]
    start = time.perf_counter()
    command = [sys.executable, "-m", "mandseg.train", "-m", *settings]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    wall = time.perf_counter() - start
    records = [json.loads(file.read_text()) for file in folder.glob(f"outputs/{study}/*/run.json")]
    assert len(records) == runs
    return wall, sum(record["seconds"]["train"] + record["seconds"]["evaluate"] for record in records)


def main() -> None:
    """Fill the caches, then measure both launchers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grid(folder, "warm", arguments.runs, 1)
        print("launcher  wall s  trained s  overhead s/run  share   5 % from runs of")
        for launcher, words in (("basic", ()), ("local", ("hydra.launcher.jobs=1",))):
            wall, worked = grid(folder, launcher, arguments.runs, arguments.steps, f"hydra/launcher={launcher}", *words)
            each = (wall - worked) / arguments.runs
            share = (wall - worked) / worked
            print(f"{launcher:<9} {wall:6.1f} {worked:10.1f} {each:15.2f} {share:6.1%} {each / LIMIT:9.0f} s")


if __name__ == "__main__":
    main()
