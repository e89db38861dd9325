"""Time and memory of a training step with each loss and each method, relative to supervised training with Dice and CE.

    python benchmarks/methods.py                       all of conf/loss and conf/method
    python benchmarks/methods.py --patch 64 --rounds 5

The steps of all variants are interleaved, so that a machine that changes its speed changes it for all. Time: the median
of the steps. Memory: the largest resident memory of a process of its own that makes three steps, less that of the
process before its first step. Relabelling between stages is not in it. Results: docs/methods.md.
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from hydra import compose, initialize_config_dir

from mandseg.runs.build import build_method
from mandseg.system.config_paths import config_folder
from mandseg.training.methods.method import Batch, Method

PLAIN = "method=supervised"
SINGLE = ("early_learning", "mean_teacher", "co_teaching", "trusted_weighting")  # the other methods are stages of this


def variants() -> list[str]:
    """The words that choose a loss or a method."""
    losses = sorted(file.stem for file in (config_folder() / "loss").glob("*.yaml"))
    return [PLAIN, *(f"loss={name}" for name in losses if name != "dice_ce"), *(f"method={name}" for name in SINGLE)]


class Steps:
    """The training steps of one variant on a fixed batch."""

    def __init__(self, words: str, patch: int) -> None:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            cfg = compose("train", [words, f"patches.patch_size=[{patch},{patch},{patch}]"])
        torch.manual_seed(0)
        self.method: Method = build_method(cfg).train()
        self.optimizer = torch.optim.AdamW(self.method.trainable_parameters(), lr=1e-3)
        image = torch.rand(2, 1, patch, patch, patch) * 2 - 1
        image = image.contiguous(memory_format=torch.channels_last_3d)
        label = torch.zeros_like(image)
        label[..., patch // 4 : patch // 2, patch // 4 : patch // 2, patch // 4 : patch // 2] = 1
        trusted = torch.tensor([True, False])
        self.batch = Batch(image=image, label=label, case=torch.arange(2), trusted=trusted)

    def __call__(self) -> float:
        """Make one step; its seconds."""
        start = perf_counter()
        self.optimizer.zero_grad()
        terms = self.method.loss(self.method.logits(self.batch["image"]), self.batch, 0.75)
        terms["loss"].backward()
        self.optimizer.step()
        with torch.no_grad():
            self.method.after_step(0.75)
        return perf_counter() - start


def memory_mb(words: str, patch: int) -> float:
    """The memory that the steps of a variant take, in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--memory-of", words, "--patch", str(patch)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def own_memory_mb(words: str, patch: int) -> float:
    """The memory that three steps take in this process."""
    steps = Steps(words, patch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        steps()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Print one row of a table for each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patch", type=int, default=48, help="voxels of a side")
    parser.add_argument("--rounds", type=int, default=7, help="steps of each variant")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory_of:
        print(own_memory_mb(options.memory_of, options.patch))
        return
    steps = {words: Steps(words, options.patch) for words in variants()}
    seconds: dict[str, list[float]] = {words: [] for words in steps}
    for number in range(options.rounds + 1):
        for words, step in steps.items():
            taken = step()
            if number:  # the first round warms up
                seconds[words].append(taken)
    plain_s, plain_mb = median(seconds[PLAIN]), memory_mb(PLAIN, options.patch)
    print(f"supervised: {plain_s:.3f} s a step, {plain_mb:.0f} MB; patches 2 x {options.patch}^3, one thread")
    print("| setting | time | memory |\n| --- | --- | --- |")
    for words in steps:
        ratio, more = median(seconds[words]) / plain_s, memory_mb(words, options.patch) / plain_mb
        print(f"| `{words}` | {ratio:.2f} | {more:.2f} |", flush=True)


if __name__ == "__main__":
    main()
