"""A trained network from a run folder: the weights of a checkpoint, and from config.yaml all that belongs to them."""

from pathlib import Path
from typing import Literal

import torch
from omegaconf import DictConfig, OmegaConf

from mandseg.evaluation.predictor import Predictor
from mandseg.runs.build import build_method, build_predictor
from mandseg.runs.folder import CONFIG, RunFolder
from mandseg.system.errors import UserError, one_line
from mandseg.training.checkpoint import BEST, LAST
from mandseg.training.fit import load_weights
from mandseg.training.methods.method import Method
from mandseg.training.precision import FP32, can_compute, device_kind

CHECKPOINT_FILES = {"last": LAST, "best": BEST}


def load_predictor(run_folder: Path, checkpoint: Literal["last", "best"] = "last", device: str = "auto") -> Predictor:
    """The predictor of a run, as the run itself was tested: for any image, without a cache.

    The arithmetic is that of the test (``test_precision`` in run.json). Where the device has no instructions for it,
    float32 is used: masks then differ in single voxels.

    Of the checkpoint only tensors and plain values are read; no code is run. The classes that config.yaml names are
    imported and called: load run folders of people you trust.

    Args:
        run_folder: A folder of a study.
        checkpoint: ``last``: the weights at the end of the training; ``best``: those with the highest validation Dice.
        device: ``auto`` (a GPU if there is one), or what torch calls a device: ``cpu``, ``cuda:1``.

    Raises:
        UserError: The folder has no readable config.yaml, no such checkpoint, or one of another network; or torch knows
            no such device.
    """
    if checkpoint not in CHECKPOINT_FILES:
        raise UserError(f"checkpoint {checkpoint!r}: expected one of {', '.join(CHECKPOINT_FILES)}")
    cfg = _read_config(RunFolder(run_folder))
    file = last_stage(run_folder, cfg) / CHECKPOINT_FILES[checkpoint]
    if not file.is_file():
        raise UserError(f"{file}: no such checkpoint; was the run trained to its end?")
    place = device_named(device)
    tested = str(RunFolder(run_folder).facts().get("test_precision") or FP32)  # earlier versions tested in float32
    precision = tested if can_compute(tested, place) else FP32
    return build_predictor(cfg, load_method(cfg, file).to(place).eval(), place, precision)


def load_method(cfg: DictConfig, file: Path) -> Method:
    """A run's method with the weights of one of its checkpoints."""
    method = build_method(cfg, untrained=False)
    load_weights(method, file)
    return method


def last_stage(run_folder: Path, cfg: DictConfig) -> Path:
    """The checkpoints of a run's last stage."""
    return RunFolder(run_folder).checkpoints(str(cfg.method.stages[-1].name))


def device_named(name: str) -> torch.device:
    """A device by what a user calls it.

    Raises:
        UserError: torch knows no such device, or it is not there.
    """
    if name == "auto":
        return torch.device("cpu" if device_kind(name) == "cpu" else "cuda")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {name!r}: cannot be used ({one_line(error)})") from error
    return device


def _read_config(folder: RunFolder) -> DictConfig:
    file = folder.config_file
    if not file.exists():
        raise UserError(f"{folder.path}: no run folder, it has no {CONFIG}")
    try:
        cfg = OmegaConf.create(folder.config())
    except Exception as error:  # OmegaConf's own
        raise UserError(f"{file}: cannot be read ({one_line(error)})") from error
    if "method" not in cfg or "stages" not in cfg.method:
        raise UserError(f"{file}: not the config of a run of this version, it names no stages of the method")
    return cfg
