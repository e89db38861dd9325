"""How do the costs grow with cases, runs and voxels? Prints processor seconds and the exponent between the last sizes.

Run: python benchmarks/growth.py [--largest]

An exponent of 1 is linear. The exponent is the slope of seconds against size, both in logarithms, between the two
largest sizes: at small sizes the constant part hides it. ``--largest`` adds 10,000 runs, whose folders take a minute
to write. Exit code 1 if something grows faster than linearly.
"""

import argparse
import io
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from rich.console import Console

from comparison import keep
from mandseg.data.case import Case
from mandseg.data.check import check_cohort
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.preprocessing import Preprocessing
from mandseg.data.splits import folds, split_by_subject
from mandseg.data.volume import Volume, write_volume
from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.metrics.agreement import score
from mandseg.noise.label_plan import plan_noise
from mandseg.runs.launchers.cells import compose, expand
from mandseg.runs.status import status
from mandseg.runs.study import open_study
from mandseg.system.config_paths import config_folder
from report_scale import write_study

CASES = (10, 100, 1000, 10_000)
HEADERS = (10, 40, 160)
RUNS = (10, 100, 1000)
SIDES = (48, 96, 144)
SPACING_MM = (1.0, 1.0, 1.0)
LONG_S = 3.0
LINEAR = 1.3
"""The largest exponent that counts as linear: sorting, full caches and the noise of a busy machine are in it."""

Row = tuple[str, Sequence[int], list[float]]


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of the faster of two calls; of one call if it takes long."""
    taken = []
    while len(taken) < 2 and sum(taken) < LONG_S:
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def of_cases(folder: Path) -> Iterator[Row]:
    """The manifest, the splits and the plan of the labels."""
    cohorts = {}
    for n in CASES:
        root = folder / f"cases{n}"
        root.mkdir()
        cases = []
        for k in range(n):
            files = [root / f"{k}_{name}.nii.gz" for name in ("image", "reference", "noisy")]
            for file in files:
                file.touch()
            cases.append(Case(f"c{k:05d}", f"s{k:05d}", "train", *files, f"a{k % 7}"))
        write_cohort(root, cases)
        cohorts[n] = (root, cases)
    yield "read a manifest", CASES, [seconds(lambda r=root: read_cohort(r)) for root, _ in cohorts.values()]
    lists = [cases for _, cases in cohorts.values()]
    yield "split by subject", CASES, [seconds(lambda c=c: split_by_subject(c, (0.7, 0.1, 0.2), 0)) for c in lists]
    yield "five folds", CASES, [seconds(lambda c=c: folds(c, 5, 0)) for c in lists]
    annotators = [{case.case_id: case.annotator for case in cases} for cases in lists]
    yield "plan of the labels", CASES, [seconds(lambda a=a: plan_noise(a, 0.5, 0)) for a in annotators]


def of_files(folder: Path) -> Iterator[Row]:
    """``mandseg check`` of tiny volumes, in one process."""
    taken = []
    for n in HEADERS:
        root, cases = folder / f"files{n}", []
        for k in range(n):
            image = np.full((16, 16, 16), -1000, np.int16)
            image[4:12, 4:12, 4:12] = k
            files = [root / f"{k}_{name}.nii.gz" for name in ("image", "reference")]
            for file, array in zip(files, (image, (image >= 0).astype(np.uint8)), strict=True):
                write_volume(file, Volume(array, np.eye(4)))
            cases.append(Case(f"c{k:03d}", f"s{k:03d}", "train", *files))
        write_cohort(root, cases)
        taken.append(seconds(lambda r=root: check_cohort(r, 1)))
    yield "check a cohort", HEADERS, taken


def of_runs(folder: Path, runs: Sequence[int]) -> Iterator[Row]:
    """Composing a grid, the status and the tables of a study."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        words = {n: ["noise_ratio=" + ",".join(str(k / 10) for k in range(10)), f"seed=range({n // 10})"] for n in RUNS}
        config = hydra_compose("train", return_hydra_config=True)
        yield "compose a grid", RUNS, [seconds(lambda w=w: compose(config, expand(w))) for w in words.values()]
    for n in runs:
        write_study(folder / f"runs{n}", n, 2)
    studies = [folder / f"runs{n}" for n in runs]
    yield "status", runs, [seconds(lambda s=s: status(s, Console(file=io.StringIO()))) for s in studies]
    yield "open a study", runs, [seconds(lambda s=s: open_study(s)) for s in studies]


def of_voxels() -> Iterator[Row]:
    """Preparation, scores and prediction of a volume, against its voxels."""
    preprocessing, window = Preprocessing((2.0, 2.0, 2.0)), SlidingWindow((48, 48, 48), 0.25)
    network, voxels = torch.nn.Conv3d(1, 1, 3, padding=1), [side**3 for side in SIDES]
    prepared, scored, predicted = [], [], []
    for side in SIDES:
        inside = tuple(slice(side // 8, -side // 8) for _ in range(3))
        image = np.full((side,) * 3, -1000, np.int16)
        image[inside] = 40
        mask = np.zeros((side,) * 3, bool)
        mask[tuple(slice(side // 4, side // 2) for _ in range(3))] = True
        other = np.roll(mask, 1, axis=0)
        volume = Volume(image, np.eye(4))
        prepared.append(seconds(lambda v=volume: preprocessing.image(v)))
        scored.append(seconds(lambda m=mask, o=other: score(o, m, SPACING_MM)))
        tensor = torch.zeros(1, 1, side, side, side)
        with torch.no_grad():
            predicted.append(seconds(lambda t=tensor: window(network, t)))
    for name, taken in (("prepare an image", prepared), ("score a case", scored), ("predict", predicted)):
        yield f"{name} (voxels)", voxels, taken


def exponent(sizes: Sequence[int], taken: Sequence[float]) -> float:
    """The slope of log seconds against log size between the two largest sizes."""
    return math.log(max(taken[-1], 1e-9) / max(taken[-2], 1e-9)) / math.log(sizes[-1] / sizes[-2])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", action="store_true", help="also 10,000 run folders")
    runs = (*RUNS, 10_000) if parser.parse_args().largest else RUNS
    torch.set_num_threads(1)
    steep = False
    with TemporaryDirectory() as name:
        folder = Path(name)
        rows = []
        for what, sizes, taken in chain(of_cases(folder), of_files(folder), of_runs(folder, runs), of_voxels()):
            slope = exponent(sizes, taken)
            steep |= slope > LINEAR
            rows.append({"what": what, "sizes": list(sizes), "seconds": taken, "exponent": slope})
            print(
                f"{what:<24} {', '.join(map(str, sizes)):<28} {', '.join(f'{s:.3f}' for s in taken):<32} {slope:.2f}",
                flush=True,
            )
        keep("growth", rows)
    sys.exit(steep)


if __name__ == "__main__":
    main()
