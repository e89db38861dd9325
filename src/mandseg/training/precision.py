"""The arithmetic of a run: bf16 where one measurement on this machine says that it is faster, else fp32."""

import hashlib
import json
import platform
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from mandseg.system.files import write_text
from mandseg.system.lock import held

BF16, FP32 = "bf16-mixed", "32-true"
LEAST_GAIN = 1.15  # bf16 must be this much faster than fp32 to be chosen
STEPS = 3


def choose_precision(wanted: str, accelerator: str, network: nn.Module, batch_shape: Sequence[int], cache: Path) -> str:
    """Lightning's name of the arithmetic to use.

    Args:
        wanted: What the config says; anything but ``auto`` is taken as it is.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        network: The network; a copy of it is timed.
        batch_shape: (B, 1, X, Y, Z) of a training step.
        cache: Where the measurement is kept, by processor and network.
    """
    if wanted != "auto":
        return wanted
    if device_kind(accelerator) != "cpu":
        return BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else FP32
    key = "|".join(
        [_processor(), torch.__version__, str(torch.get_num_threads()), str(network), str(tuple(batch_shape))]
    )
    file = cache / "precision" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with held(file.with_suffix(".lease")):  # two jobs that measure at once would measure each other
        if not file.exists():
            _measure(network, batch_shape, file)
    precision: str = json.loads(file.read_text())["precision"]
    return precision


def _measure(network: nn.Module, batch_shape: Sequence[int], file: Path) -> None:
    """Time both and write down which to use."""
    fp32_s, bf16_s = (step_seconds(network, batch_shape, bf16=bf16) for bf16 in (False, True))
    chosen = BF16 if fp32_s > LEAST_GAIN * bf16_s else FP32
    write_text(file, json.dumps({"precision": chosen, "fp32_s": fp32_s, "bf16_s": bf16_s}) + "\n")


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


def device_kind(accelerator: str) -> str:
    """Which kind of device Lightning will take: ``cpu`` or ``gpu``."""
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
