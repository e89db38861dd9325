"""Check a machine with a GPU, with phantoms and this repository alone: speed, precision, several devices, resume.

Run: python benchmarks/gpu_check.py [--out gpu-check] [--minutes 8]     (``make gpu-check``)

Writes gpu-check.json and gpu-check.md with the card's name. Every training is the command ``python -m mandseg.train``.
Without a GPU the same script runs on the processor with a small network and tiny phantoms, so that the script is
tested; its figures then say nothing about a GPU. What the time does not suffice for is listed as left out.
"""

import argparse
import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

SMALL = (
    *("preprocessing.spacing_mm=[8,8,8]", "patches.patch_size=[16,16,16]", "model.network.channels=[4,8]"),
    *("model.network.strides=[2]", "trainer.precision=32-true", "trainer=cpu"),
)
QUIET = ("tracking=none", "trainer.enable_progress_bar=false", "validations=1", "memorisation=0")
POLL_S = 0.1
LONGEST_S = 300  # of one training


@dataclass(frozen=True)
class Machine:
    """What is checked: the device, the settings that suit it, and the steps of a short and of a long training."""

    device: str
    devices: int
    settings: tuple[str, ...]
    short: int
    long: int


def machine() -> Machine:
    """The GPUs of this machine, or its processor."""
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        return Machine(name, torch.cuda.device_count(), ("trainer=gpu",), short=50, long=250)
    return Machine("the processor, no GPU", 2, SMALL, short=4, long=204)


class Trainings:
    """Trainings in one folder, each a command of its own."""

    def __init__(self, folder: Path, settings: tuple[str, ...]) -> None:
        self.folder, self.settings = folder, settings

    def start(self, study: str, *words: str) -> "subprocess.Popen[str]":
        """Start a training."""
        command = [sys.executable, "-m", "mandseg.train", *self.settings, *QUIET, f"study={study}", *words]
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )

    def run(self, study: str, *words: str) -> dict[str, Any]:
        """Run a training to its end.

        Returns:
            Its run.json and the path of its folder.
        """
        process = self.start(study, *words)
        try:
            _, errors = process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        if process.returncode:
            raise RuntimeError(
                f"{study} ended with {process.returncode}: {(errors.splitlines() or ['no message'])[-1]}"
            )
        return self.record(study)

    def record(self, study: str) -> dict[str, Any]:
        """run.json of the one run of a study."""
        (file,) = (self.folder / "outputs" / study).glob("*/run.json")
        return json.loads(file.read_text()) | {"folder": str(file.parent)}


def train_seconds(record: dict[str, Any]) -> float:
    """Seconds of the training of a run, without preparation and test."""
    return sum(seconds for name, seconds in record["seconds"].items() if name.startswith("train"))


def step_seconds(of: Machine, trainings: Trainings, study: str, *words: str) -> float:
    """Seconds of a step with its data: the difference of a long and a short training.

    Raises:
        RuntimeError: The long training was not longer, so the steps take less time than two starts differ.
    """
    short = train_seconds(trainings.run(f"{study}-short", f"steps={of.short}", *words))
    long = train_seconds(trainings.run(f"{study}-long", f"steps={of.long}", *words))
    if long <= short:
        raise RuntimeError(f"{of.long} steps took {long:.2f} s and {of.short} steps {short:.2f} s: run it again")
    return (long - short) / (of.long - of.short)


def default_training(of: Machine, trainings: Trainings) -> dict[str, Any]:
    """The default training: seconds of a step, precision that was chosen, seconds of the test of a case."""
    seconds = step_seconds(of, trainings, "default")
    record = trainings.record("default-long")
    rows = list(csv.DictReader((Path(record["folder"]) / "cases.csv").open()))
    inference = [float(row["seconds"]) for row in rows if row.get("seconds")]
    return {
        "seconds a step": seconds,
        "precision chosen": record["precision"],
        "seconds a tested case": sum(inference) / max(len(inference), 1),
        "phases": record["seconds"],
    }


def outside_the_network(of: Machine, trainings: Trainings) -> dict[str, Any]:
    """The same steps without augmentation: what of a step is the data's."""
    plain = step_seconds(of, trainings, "plain", "patches.augmentation=null")
    return {"seconds a step without augmentation": plain}


def prefetch(of: Machine, trainings: Trainings) -> dict[str, Any]:
    """Loader processes beside the training; on a GPU their batches are in pinned memory."""
    return {
        f"seconds a step, {n} workers": step_seconds(of, trainings, f"workers{n}", f"num_workers={n}") for n in (2,)
    }


def precisions(of: Machine, trainings: Trainings) -> dict[str, Any]:
    """Both precisions."""
    wanted = ("32-true", "bf16-mixed")
    return {p: step_seconds(of, trainings, f"precision-{p}", f"trainer.precision={p}") for p in wanted}


def several_devices(of: Machine, trainings: Trainings) -> dict[str, Any]:
    """One run on all devices."""
    if of.devices < 2:
        return {"left out": "one device"}
    words = ("trainer.strategy=ddp", f"trainer.devices={of.devices}", f"batch_size={2 * of.devices}")
    return {"devices": of.devices, "seconds a step": step_seconds(of, trainings, "ddp", *words)}


def resume(of: Machine, trainings: Trainings) -> dict[str, Any]:
    """Kill a training in its middle, start it again, and compare its weights with an undisturbed one's."""
    found = {}
    for name, words in (("default", ()), ("deterministic", ("+trainer.deterministic=true",))):
        words = (f"steps={of.long}", "checkpoint_minutes=0.001", *words)
        whole = trainings.run(f"whole-{name}", *words)
        _kill_in_the_middle(of, trainings, f"killed-{name}", *words)
        resumed = trainings.run(f"killed-{name}", *words)
        found[name] = {"largest difference of a weight": _difference(whole["folder"], resumed["folder"])}
    return found


def _kill_in_the_middle(of: Machine, trainings: Trainings, study: str, *words: str) -> None:
    process = trainings.start(study, *words)
    pattern = f"outputs/{study}/*/checkpoints/*/last.ckpt"
    while process.poll() is None and not any(trainings.folder.glob(pattern)):
        time.sleep(POLL_S)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _difference(one: str, other: str) -> float:
    """The largest difference of two runs' last weights; 0 is bit for bit."""
    states = []
    for folder in (one, other):
        (file,) = Path(folder).glob("checkpoints/*/last.ckpt")
        states.append(torch.load(file, map_location="cpu", weights_only=True)["state_dict"])
    return max(float((states[0][key].double() - states[1][key].double()).abs().max()) for key in states[0])


def nnunet(of: Machine, trainings: Trainings) -> dict[str, Any]:
    """Seconds of a step of nnU-Net's default 3D network at its default patch, if nnunetv2 is installed."""
    if importlib.util.find_spec("nnunetv2") is None:
        return {"left out": "nnunetv2 is not installed"}
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 128 if device == "cuda" else 64
    network = PlainConvUNet(
        1, 6, (32, 64, 128, 256, 320, 320), nn.Conv3d, 3, (1, 2, 2, 2, 2, 2), 2, 2, 2, conv_bias=True,
        norm_op=nn.InstanceNorm3d, nonlin=nn.LeakyReLU, deep_supervision=False,
    ).to(device)  # fmt: skip
    batch, seconds = torch.zeros(2, 1, size, size, size, device=device), []
    for _ in range(6):
        start = time.perf_counter()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            loss = network(batch).float().square().mean()
        loss.backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return {"patch": size, "seconds a step of the network alone": min(seconds[1:])}


CHECKS: dict[str, Callable[[Machine, Trainings], dict[str, Any]]] = {
    "default training": default_training,
    "resume after SIGKILL": resume,
    "loader processes": prefetch,
    "precision": precisions,
    "without augmentation": outside_the_network,
    "several devices": several_devices,
    "nnU-Net's default network": nnunet,
}
"""In the order of their worth: the last ones are left out if the time is over."""


def results(of: Machine, trainings: Trainings, seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each check with its result; a check that fails says so, and the others go on."""
    end = time.monotonic() + seconds
    for name, check in CHECKS.items():
        if time.monotonic() > end:
            yield name, {"left out": "the time was over"}
            continue
        try:
            yield name, check(of, trainings)
        except Exception as error:
            yield name, {"failed": f"{type(error).__name__}: {error}"}


def as_markdown(of: Machine, found: dict[str, dict[str, Any]]) -> str:
    """The table: a line for each number."""
    lines = [f"Device: {of.device} ({of.devices}), torch {torch.__version__}.", "", "| check | what | result |"]
    lines += ["| --- | --- | --- |"]
    for check, result in found.items():
        for what, value in result.items():
            lines.append(f"| {check} | {what} | {f'{value:.4g}' if isinstance(value, float) else value} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Check, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of gpu-check.json and gpu-check.md; default: print only")
    parser.add_argument("--minutes", type=float, default=6.0, help="no check begins after this time")
    arguments = parser.parse_args()
    of, found = machine(), {}
    with tempfile.TemporaryDirectory() as folder:
        for name, result in results(of, Trainings(Path(folder), of.settings), 60 * arguments.minutes):
            found[name] = result
            print(f"{name}: {json.dumps(result)}", flush=True)
    table = as_markdown(of, found)
    print(table)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        facts = {"device": of.device, "devices": of.devices, "torch": torch.__version__, "checks": found}
        (arguments.out / "gpu-check.json").write_text(json.dumps(facts, indent=1) + "\n")
        (arguments.out / "gpu-check.md").write_text(table)
    sys.exit(any("failed" in result for result in found.values()))


if __name__ == "__main__":
    main()
