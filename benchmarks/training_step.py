"""One training step of the default network, as ratios: fp32 to bf16, two threads to one, plain to tuned allocator.

Run with `python benchmarks/training_step.py`, on a machine with nothing else to do.
"""

import torch
from monai.networks.nets import UNet

from mandseg.training.libraries import tune_malloc
from mandseg.training.precision import step_seconds

BATCH = (2, 1, 64, 64, 64)


def unet_step_seconds(bf16: bool, threads: int) -> float:
    """Seconds of forward and backward pass of the default network."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = UNet(3, 1, 1, (16, 32, 64, 128), (2, 2, 2), num_res_units=2, norm="BATCH")
    return step_seconds(network.to(memory_format=torch.channels_last_3d), BATCH, bf16)


def main() -> None:
    """Print seconds and ratios."""
    plain = unet_step_seconds(bf16=False, threads=2)
    tune_malloc()
    fp32, bf16 = (unet_step_seconds(bf16=flag, threads=2) for flag in (False, True))
    single = unet_step_seconds(bf16=False, threads=1)
    print(f"fp32, two threads        {fp32:.3f} s")
    print(f"plain allocator : tuned  {plain / fp32:.2f}")
    print(f"bf16 : fp32              {bf16 / fp32:.2f}")
    print(f"one thread : two         {single / fp32:.2f}")


if __name__ == "__main__":
    main()
