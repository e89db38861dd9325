"""The arithmetic of a run: bf16 if a measurement on this machine shows that it is faster and reproducible, else fp32.

The network is validated and tested in the arithmetic of its training.

On a CPU, torch's bf16 convolutions give random and sometimes infinite gradients on very small grids (2 x 2 x 2 at the
bottom of a U-Net with patches of 16 x 16 x 16; torch 2.13). Therefore bf16 is tested before it is used.
"""

import hashlib
import json
import platform
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from mandseg.evaluation.predictor import AUTOCAST
from mandseg.system.errors import UserError
from mandseg.system.files import write_text
from mandseg.system.lock import locked

BF16, FP32 = "bf16-mixed", "32-true"
LEAST_GAIN = 1.15  # bf16 must be this much faster than fp32 to be chosen
STEPS = 3
TRIALS = 8  # equal steps that are compared; a single pair was equal by chance in up to half of the trials
FORMAT = "3"  # of the stored measurements


def choose_precision(wanted: str, accelerator: str, network: nn.Module, batch_shape: Sequence[int], cache: Path) -> str:
    """Lightning's name of the arithmetic to use.

    Args:
        wanted: The setting; any value but ``auto`` is used unchanged.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        network: The network; a copy of it is timed.
        batch_shape: (B, 1, X, Y, Z) of a training step.
        cache: Folder of the measurements, which are stored by processor and network.

    Raises:
        UserError: bf16 is set, and two equal steps differ on this processor.
    """
    on_cpu = device_kind(accelerator) == "cpu"
    if not on_cpu and wanted == "auto":
        return BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else FP32
    if not on_cpu or wanted not in ("auto", BF16):
        return wanted
    if wanted == "auto" and not can_compute(BF16, torch.device("cpu")):
        return FP32  # emulated bf16 is up to 50 times slower, and its measurement would take minutes
    found = _measured(network, batch_shape, cache)
    if wanted == BF16 and not found["repeats_itself"]:
        size = " x ".join(map(str, batch_shape[2:]))
        raise UserError(
            f"trainer.precision={wanted}: equal steps on patches of {size} differ on this processor; "
            f"use trainer.precision={FP32} or larger patches"
        )
    is_faster = found["fp32_s"] > LEAST_GAIN * found["bf16_s"]
    return BF16 if wanted == BF16 or (is_faster and found["repeats_itself"]) else FP32


def _measured(network: nn.Module, batch_shape: Sequence[int], cache: Path) -> dict[str, float]:
    """The measurement of a network, processor and batch, made once."""
    facts = [
        FORMAT,
        _processor(),
        torch.__version__,
        str(torch.get_num_threads()),
        str(network),
        str(tuple(batch_shape)),
    ]
    file = cache / "precision" / f"{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:16]}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(file.with_suffix(".lease")):  # simultaneous measurements would slow each other
        if not file.exists():
            seconds = {f"{name}_s": step_seconds(network, batch_shape, name == "bf16") for name in ("fp32", "bf16")}
            write_text(file, json.dumps(seconds | {"repeats_itself": repeats_itself(network, batch_shape)}) + "\n")
    measured: dict[str, float] = json.loads(file.read_text())
    return measured


def repeats_itself(network: nn.Module, batch_shape: Sequence[int]) -> bool:
    """Whether equal bf16 steps on the CPU give equal and finite gradients, and equal predictions."""
    with torch.random.fork_rng(devices=[]):
        first, *others = (_answers(network, batch_shape) for _ in range(TRIALS))
    return all(bool(answer.isfinite().all()) for answer in first) and all(
        torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True)
    )


def _answers(network: nn.Module, batch_shape: Sequence[int]) -> list[torch.Tensor]:
    """The gradients of a step, and the logits of a prediction."""
    torch.manual_seed(0)
    network = deepcopy(network).train()
    batch = (torch.rand(*batch_shape) * 2 - 1).contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = network(batch).float().square().mean()
    loss.backward()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network.eval()(batch)
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None] + [logits]


def step_seconds(network: nn.Module, batch_shape: Sequence[int], bf16: bool) -> float:
    """Time one forward and backward pass on the CPU: the fastest of a few, after one to warm up."""
    network = deepcopy(network).train()
    batch = torch.zeros(*batch_shape).contiguous(memory_format=torch.channels_last_3d)
    seconds = []
    for _ in range(1 + STEPS):
        start = perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = network(batch).float().square().mean()
        loss.backward()
        seconds.append(perf_counter() - start)
    return min(seconds[1:])


def prediction_precision(precision: str) -> str:
    """The arithmetic of validation and test after a training: the same if it is a mixed one, else float32."""
    return precision if precision in AUTOCAST else FP32


def can_compute(precision: str, device: torch.device) -> bool:
    """Whether a device has instructions for an arithmetic; without them bf16 is slower than float32."""
    if precision not in AUTOCAST:
        return True
    if device.type == "cuda":
        return precision != BF16 or torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == BF16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def device_kind(accelerator: str) -> str:
    """The kind of device that Lightning will use: ``cpu`` or ``gpu``."""
    if accelerator == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    return "gpu" if accelerator in ("gpu", "cuda") else accelerator


def device_name(accelerator: str) -> str:
    """The device's name for the record."""
    return torch.cuda.get_device_name() if device_kind(accelerator) == "gpu" else f"CPU ({_processor()})"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = sum(line.count("avx512_bf16") + line.count("amx_bf16") for line in lines[:60])
    return f"{names[0] if names else platform.processor()}{' with bf16' if flags else ''}"
