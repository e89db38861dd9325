"""One training step of the default network, as ratios: fp32 to bf16, two threads to one, plain to tuned allocator.

Run with `python benchmarks/training_step.py`, on a machine with nothing else to do.
"""

from statistics import median
from time import perf_counter

import torch
from monai.networks.nets import UNet

from mandseg.training import tune_allocator

BATCH = (2, 1, 64, 64, 64)
STEPS = 6


def step_seconds(bf16: bool, threads: int) -> float:
    """Median seconds of forward, backward and optimiser step, after one to warm up."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = UNet(3, 1, 1, (16, 32, 64, 128), (2, 2, 2), num_res_units=2, norm="BATCH")
    network = network.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(network.parameters())
    batch = torch.randn(BATCH).contiguous(memory_format=torch.channels_last_3d)
    seconds = []
    for _ in range(1 + STEPS):
        start = perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = network(batch).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(perf_counter() - start)
    return median(seconds[1:])


def main() -> None:
    """Print seconds and ratios."""
    plain = step_seconds(bf16=False, threads=2)
    tune_allocator()
    fp32, bf16 = (step_seconds(bf16=flag, threads=2) for flag in (False, True))
    single = step_seconds(bf16=False, threads=1)
    print(f"fp32, two threads        {fp32:.3f} s")
    print(f"plain allocator : tuned  {plain / fp32:.2f}")
    print(f"bf16 : fp32              {bf16 / fp32:.2f}")
    print(f"one thread : two         {single / fp32:.2f}")


if __name__ == "__main__":
    main()
