"""What does a run cost beside its training? Processor seconds, and how long a run must be for that to be 5 % or less.

Run: python benchmarks/sweep_overhead.py [--runs 5]

Grids on phantoms whose caches are warm, each run with one step and one test of the phantoms' test sets, so the numbers
are upper bounds: they hold Python's start, composing, importing, finding the prepared cases, locks, and that step and
test. Processor seconds of one thread, as a busy machine says nothing about the program. Hydra's own launcher runs
all cells in one process and pays for the start once; hydra/launcher=local and slurm start a process for each cell.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 0.05
SMALL = [
    "preprocessing.spacing_mm=[8,8,8]",
    "patches.patch_size=[16,16,16]",
    "model.network.channels=[4,8]",
    "model.network.strides=[2]",
    "trainer=cpu",
    "trainer.precision=32-true",
    "trainer.enable_progress_bar=false",
    "tracking=none",
    "steps=1",
    "validations=1",
]


def grid(folder: Path, study: str, runs: int) -> float:
    """Processor seconds of a grid in one process."""
    command = [sys.executable, "-m", "mandseg.train", "-m", *SMALL, f"study={study}", f"seed=range({runs})"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert len(list(folder.glob(f"outputs/{study}/*/cases.csv"))) == runs
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Fill the caches, then measure one run and several."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        grid(Path(name), "warm", runs)
        alone = grid(Path(name), "alone", 1)
        further = (grid(Path(name), "several", runs) - alone) / (runs - 1)
    for what, seconds in (("a run in a process of its own", alone), ("a further run in the same process", further)):
        print(f"{what:<34} {seconds:5.2f} s, 5 % of runs of {seconds / LIMIT:4.0f} s")


if __name__ == "__main__":
    main()
