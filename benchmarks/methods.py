"""Time and memory of a training step with each loss and each method, relative to supervised training with Dice and CE.

    python benchmarks/methods.py                       all of conf/loss and conf/method
    python benchmarks/methods.py --patch 64 --rounds 5

The steps of all variants are interleaved, so that a machine that changes its speed changes it for all. Time: the median
of the processor seconds of the steps. Memory: the tensors that a step keeps for its backward pass, the weights, and the
state of the optimiser. Relabelling between stages is not in it. Results: docs/methods.md.
"""

import argparse
from statistics import median
from time import process_time

import torch
from hydra import compose, initialize_config_dir

from mandseg.runs.build import build_method
from mandseg.system.config_paths import config_folder
from mandseg.training.methods.method import Batch, Method

PLAIN = "method=supervised"
# the other methods are stages of supervised training
SINGLE = ("early_learning", "mean_teacher", "co_teaching", "trusted_weighting", "learned_weighting")


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
        """Make one step; its processor seconds."""
        start = process_time()
        self.optimizer.zero_grad()
        terms = self.method.loss(self.method.logits(self.batch["image"]), self.batch, 0.75)
        terms["loss"].backward()
        self.optimizer.step()
        with torch.no_grad():
            self.method.after_step(0.75)
        return process_time() - start


def memory_mb(steps: Steps) -> float:
    """The tensors that a step keeps for its backward pass, the weights and buffers, and what the optimiser keeps."""
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = steps.method.logits(steps.batch["image"])
        terms = steps.method.loss(logits, steps.batch, 0.75)  # noqa: F841  the graph lives until all is counted
        states = [value for state in steps.optimizer.state.values() for value in state.values()]
        for tensor in (*steps.method.state_dict().values(), *states):
            note(tensor)
    return sum(kept.values()) / 2**20


def main() -> None:
    """Print one row of a table for each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patch", type=int, default=48, help="voxels of a side")
    parser.add_argument("--rounds", type=int, default=7, help="steps of each variant")
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps = {words: Steps(words, options.patch) for words in variants()}
    seconds: dict[str, list[float]] = {words: [] for words in steps}
    for number in range(options.rounds + 1):
        for words, step in steps.items():
            taken = step()
            if number:  # the first round warms up
                seconds[words].append(taken)
    plain_s, plain_mb = median(seconds[PLAIN]), memory_mb(steps[PLAIN])
    print(f"supervised: {plain_s:.3f} s a step, {plain_mb:.0f} MB; patches 2 x {options.patch}^3, one thread")
    print("| setting | time | memory |\n| --- | --- | --- |")
    for words, step in steps.items():
        ratio, more = median(seconds[words]) / plain_s, memory_mb(step) / plain_mb
        print(f"| `{words}` | {ratio:.2f} | {more:.2f} |", flush=True)


if __name__ == "__main__":
    main()
