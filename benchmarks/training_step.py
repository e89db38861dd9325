"""What a training costs beside its network, by part; and the network's step by arithmetic, threads and allocator.

Run: python benchmarks/training_step.py [--steps 40]

A short training as a run makes it, on made-up volumes of the size of an OpenKBP case at 2 mm: Lightning's loop, the
callbacks of a run and the learning curve. Every part is timed by the clock and by the processor time of the training's
thread; medians a step, and means for what happens seldom, are put together to a run of the default length. Where a
core is free the patches come from a thread, and the training only waits for them. A short training comes first, because
the first validation of a process takes longer; how long is printed. The processor time is less disturbed by other
programs, but it does not hold the waiting.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop
from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
from lightning.pytorch.loops.optimization.automatic import _AutomaticOptimization
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from monai.networks.nets import UNet
from omegaconf import OmegaConf

from comparison import Row, show
from mandseg.data.cache import PreparedCase
from mandseg.noise.label_plan import plan_noise
from mandseg.runs.build import build_data, build_memorisation, build_method, build_segmenter, build_stages
from mandseg.system.config_paths import config_folder
from mandseg.system.signals import Interruption
from mandseg.training.checkpoint import LastCheckpoint, RunCheckpointIO
from mandseg.training.finite_loss import FiniteLoss
from mandseg.training.fit import fit
from mandseg.training.learning_curve import LearningCurve
from mandseg.training.libraries import silence_libraries, tune_malloc
from mandseg.training.loading import datamodule
from mandseg.training.memorisation import Memorisation, watched_cases
from mandseg.training.precision import BF16, can_compute, choose_precision, step_seconds
from mandseg.training.stages import spans
from mandseg.training.validation_overlay import ValidationOverlay
from patches import write_volumes

BATCH = (2, 1, 64, 64, 64)
WARM_UP = 4  # steps
SHAPE, TRAINING, VALIDATION = (200, 160, 120), 8, 3  # voxels; cases
PARTS = (
    (_AutomaticOptimization, "run", "network"),
    (_PrefetchDataFetcher, "__next__", "patches"),
    (Memorisation, "on_train_batch_end", "memorisation"),
    (ValidationOverlay, "on_validation_batch_end", "picture of the validation"),
    (_EvaluationLoop, "run", "validation"),
    (L.Trainer, "save_checkpoint", "checkpoints"),
    (FiniteLoss, "on_train_batch_end", "finite loss"),
    (LearningCurve, "log_metrics", "learning curve"),
    (_TrainingEpochLoop, "advance", "Lightning"),
    (_TrainingEpochLoop, "on_advance_end", "Lightning between steps"),
)
EACH_STEP = ("network", "patches", "finite loss", "Lightning", "Lightning between steps")


@dataclass
class Stopwatch:
    """Wall and processor seconds of every call of a part, without the parts inside it."""

    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    inside: list[list[float]] = field(default_factory=list)

    def watch(self, owner: type, name: str, part: str) -> Callable[[], None]:
        """Replace a method by a timed one; returns what puts it back."""
        method = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.inside.append([0.0, 0.0])
            start = time.perf_counter(), time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                spent = [time.perf_counter() - start[0], time.thread_time() - start[1]]
                children = self.inside.pop()
                self.seconds[part].append((spent[0] - children[0], spent[1] - children[1]))
                if self.inside:
                    self.inside[-1] = [a + b for a, b in zip(self.inside[-1], spent, strict=True)]

        setattr(owner, name, timed)
        return lambda: setattr(owner, name, method)


def cases(folder: Path) -> list[PreparedCase]:
    """Prepared cases with both labels."""
    found = []
    for case in write_volumes(folder, SHAPE, TRAINING + VALIDATION):
        np.save(case.folder / "noisy.npy", np.roll(np.load(case.folder / "reference.npy"), 1, 0))
        found.append(replace(case, annotator="x", noisy_file=case.folder / "noisy.npy"))
    return found


def train(folder: Path, prepared: list[PreparedCase], steps: int, is_beside: bool) -> Stopwatch:
    """A training with one validation and one measurement of memorisation."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        words = [f"steps={steps}", "validations=1", "memorisation=1", "trainer=cpu", f"cache_dir={folder}/cache"]
        cfg = compose("train", [*words, "trainer.enable_progress_bar=false"])
    plan = plan_noise({p.case.case_id: "x" for p in prepared[:TRAINING]}, 0.5, 0)
    stages = build_stages(cfg)
    (span,) = spans(stages, cfg.steps, cfg.validations)
    method = build_method(cfg)
    segmenter = build_segmenter(cfg, method, span)
    data = build_data(cfg, prepared[:TRAINING], prepared[TRAINING:], plan, span)
    watched = watched_cases(prepared[:TRAINING], plan)
    callbacks = [
        FiniteLoss([p.case.case_id for p in prepared]),
        ValidationOverlay(prepared[TRAINING], folder, lambda *_: None),
        build_memorisation(cfg, watched, segmenter.predictor, span),
    ]
    precision = choose_precision("auto", "cpu", method.networks[0], BATCH, folder)
    last = LastCheckpoint(folder / "checkpoints", span.steps_per_epoch, 5, Interruption())
    curve = LearningCurve(folder / "learning_curve.csv")
    trainer = OmegaConf.to_container(cfg.trainer, resolve=True)
    watch = Stopwatch()
    back = [watch.watch(*part) for part in PARTS]
    before, datamodule.free_cores = datamodule.free_cores, lambda *_: int(is_beside)
    try:
        fit(segmenter, data, trainer, precision, 1, RunCheckpointIO({}), last, [curve], callbacks)
    finally:
        datamodule.free_cores = before
        for put_back in back:
            put_back()
    return watch


def of_a_run(watch: Stopwatch, kind: int, steps: int = 400, validations: int = 2, measurements: int = 5) -> dict:
    """Milliseconds a step of each part in a run of the default length; ``kind`` 0: by the clock, 1: processor time."""
    often = {"validation": validations, "picture of the validation": validations, "memorisation": measurements}
    often |= {"checkpoints": 2 * validations, "learning curve": steps / 10 + measurements}
    found = {}
    for _, _, part in PARTS:
        values = [seconds[kind] for seconds in watch.seconds[part]]
        if part in EACH_STEP:
            found[part] = 1000 * statistics.median(values[2:])
        else:
            per_call = sum(values) if part in ("validation", "picture of the validation", "memorisation") else None
            found[part] = 1000 * often[part] * (per_call if per_call is not None else statistics.mean(values)) / steps
    return found


def once_s(watch: Stopwatch) -> float:
    """Seconds of one validation and one measurement of memorisation; the first ones of a process take longer."""
    return sum(seconds[0] for part in ("validation", "memorisation") for seconds in watch.seconds[part])


def rows_of(watch: Stopwatch, mode: str) -> list[Row]:
    """The part outside the network, and a printed table of all parts."""
    clock, processor = of_a_run(watch, 0), of_a_run(watch, 1)
    print(f"\n{mode:<28} ms a step  share  processor ms  share")
    for part in clock:
        shares = [100 * values[part] / sum(values.values()) for values in (clock, processor)]
        print(f"{part:<28} {clock[part]:9.2f} {shares[0]:5.1f}% {processor[part]:13.2f} {shares[1]:5.1f}%")
    inside = [values["network"] / sum(values.values()) for values in (clock, processor)]
    print(f"{'outside the network':<28} {'':9} {100 - 100 * inside[0]:5.1f}% {'':13} {100 - 100 * inside[1]:5.1f}%")
    work, ratio = f"default step, {mode}", inside[0]
    return [Row(work, "its network alone", clock["network"], sum(clock.values()), "ms", ratio, ratio, ratio, inside[1])]


def unet_step_seconds(bf16: bool, threads: int) -> float:
    """Seconds of forward and backward pass of the default network."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = UNet(3, 1, 1, (16, 32, 64, 128), (2, 2, 2), num_res_units=2, norm="BATCH")
    return step_seconds(network.to(memory_format=torch.channels_last_3d), BATCH, bf16)


def print_network() -> None:
    """The network's step: arithmetic, threads, allocator."""
    plain = unet_step_seconds(bf16=False, threads=2)
    tune_malloc()
    fp32, single = (unet_step_seconds(bf16=False, threads=threads) for threads in (2, 1))
    print(f"fp32, two threads        {fp32:.3f} s")
    print(f"plain allocator : tuned  {plain / fp32:.2f}")
    if can_compute(BF16, torch.device("cpu")):
        print(f"bf16 : fp32              {unet_step_seconds(bf16=True, threads=2) / fp32:.2f}")
    print(f"one thread : two         {single / fp32:.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    steps = parser.parse_args().steps
    warnings.filterwarnings("ignore")
    silence_libraries()
    print_network()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        prepared = cases(Path(name))
        modes = (
            ("to warm up", False, WARM_UP),
            ("patches in the training", False, steps),
            ("patches in a thread", True, steps),
        )
        for mode, is_beside, n in modes:
            folder = Path(name) / mode.replace(" ", "_")
            folder.mkdir()
            watch = train(folder, prepared, n, is_beside)
            if n == WARM_UP:
                print(f"the first validation and memorisation of a process: {once_s(watch):.1f} s")
            else:
                rows += rows_of(watch, mode)
    show("training_step", rows)


if __name__ == "__main__":
    main()
