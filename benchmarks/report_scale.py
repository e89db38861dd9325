"""Does a large study fit? A thousand runs of a thousand cases read and analysed, ten thousand run folders listed.

Run: python benchmarks/report_scale.py [--runs 1000] [--cases 1000] [--folders 10000]

Prints seconds, those of them that a core was busy, and the largest memory so far. The budget of the whole report is
60 s and 2 GB on two cores, that of the status of ten thousand folders 10 s. Writing the studies to a temporary folder
takes a minute before.
"""

import argparse
import io
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from rich.console import Console

from mandseg.runs.status import status
from mandseg.runs.study import open_study
from mandseg.statistics.analysis import analyse
from mandseg.statistics.comparison import split_arms

RATIOS = np.round(np.linspace(0, 1, 10), 2)
CONDITION = {"data": "phantom", "noise": "planning", "model": "unet", "method": "supervised"}
MEGABYTE = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss is in bytes there, in kilobytes here


def write_study(folder: Path, n_runs: int, n_cases: int) -> None:
    """Runs of ten ratios; the scores of a case, seed and ratio add up."""
    rng = np.random.default_rng(0)
    base = 0.85 + rng.normal(0, 0.03, n_cases)
    names = [f"case_{k:05d}" for k in range(n_cases)]
    rows = []
    for number in range(n_runs):
        ratio, seed = float(RATIOS[number % len(RATIOS)]), number // len(RATIOS)
        run = f"ratio{ratio:g}_seed{seed}_planning_unet_supervised_0123abcd"
        condition = {"noise_ratio": ratio, "seed": seed, **CONDITION}
        rows.append({"run": run, **condition, "overrides": f"noise_ratio={ratio} seed={seed}"})
        dice = base - 0.05 * ratio**2 + rng.normal(0, 0.005) + rng.normal(0, 0.02, n_cases)
        write_run(folder / run, run, condition, names, dice)
    pd.DataFrame(rows).to_csv(folder / "grid.csv", index=False)


def write_run(folder: Path, run: str, condition: dict[str, object], names: list[str], dice: np.ndarray) -> None:
    """One run folder as training leaves it."""
    folder.mkdir(parents=True)
    seconds = {"prepare": 1.0, "train": 40.0, "evaluate": 6.0}
    versions = {"mandseg": "0.1.0", "code": "abc1234"}
    record = {"run": run, "study": "scale", "state": "done", "condition": condition | {"config_hash": "0123abcd"}}
    record |= {"seconds": seconds, "steps": 400, "device": "cpu", "versions": versions}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "config.yaml").write_text("seed: 0\nanalysis:\n  primary: dice\n  margins: {}\n")
    (folder / "noise_plan.csv").write_text("case_id,annotator,label\n" + "t0,a,noisy\n" * 80)
    steps = "".join(f"{step},{1 / (step + 1):.5f},\n" for step in range(0, 400, 10))
    (folder / "learning_curve.csv").write_text("step,train_loss,val_dice\n" + steps)
    table = pd.DataFrame({"run": run, **condition, "dataset": "test", "case_id": names, "subject_id": names})
    table["split"], table["group_protocol"], table["outcome"] = "test", "fov500", "scored"
    table["dice"], table["hd95_mm"], table["assd_mm"] = dice, 30 * (1 - dice), 5 * (1 - dice)
    table["nsd_1mm"], table["nsd_2mm"] = dice - 0.02, dice + 0.03
    table["reference_ml"], table["prediction_ml"], table["volume_error_ml"] = 60.0, 61.0, 20 * (0.9 - dice)
    table["seconds"] = 0.4
    table.to_csv(folder / "cases.csv", index=False)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block took, and the largest memory so far."""
    start, busy = time.perf_counter(), time.process_time()
    yield
    seconds, own = time.perf_counter() - start, time.process_time() - busy
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    print(f"{what:<48} {seconds:7.1f} s, {own:6.1f} s of a core {memory:8.0f} MB", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--folders", type=int, default=10_000)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        large, many = Path(folder) / "large", Path(folder) / "many"
        write_study(many, arguments.folders, 1)
        with timed(f"status of {arguments.folders} run folders"):
            status(many, Console(file=io.StringIO()))
        write_study(large, arguments.runs, arguments.cases)
        with timed(f"open_study, {arguments.runs} runs x {arguments.cases} cases"):
            study = open_study(large)
        with timed("analyse"):
            for arm in split_arms(study.cases):
                analyse(arm.cases, study.declaration.margins, primary=study.declaration.primary)


if __name__ == "__main__":
    main()
