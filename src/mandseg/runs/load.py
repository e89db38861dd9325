"""A trained network from a run folder: its weights from a checkpoint, and all settings from config.yaml."""

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
from mandseg.training.precision import device_kind

CHECKPOINT_FILES = {"last": LAST, "best": BEST}


def load_predictor(run_folder: Path, checkpoint: Literal["last", "best"] = "last", device: str = "auto") -> Predictor:
    """The predictor with which a run was tested; it takes any image and uses no cache.

    Only tensors and plain values of the checkpoint are read; no code is run. But the classes that config.yaml names are
    imported and called. Load only run folders from people whom you trust.

    Args:
        run_folder: A folder of a study.
        checkpoint: ``last``: the weights at the end of the training; ``best``: those with the highest validation Dice.
        device: ``auto`` (a GPU if there is one), or a device by torch's name: ``cpu``, ``cuda:1``.

    Raises:
        UserError: The folder has no readable config.yaml, no such checkpoint, or a checkpoint of another network; or
            torch has no such device.
    """
    if checkpoint not in CHECKPOINT_FILES:
        raise UserError(f"checkpoint {checkpoint!r}: expected one of {', '.join(CHECKPOINT_FILES)}")
    cfg = _read_config(RunFolder(run_folder))
    file = last_stage(run_folder, cfg) / CHECKPOINT_FILES[checkpoint]
    if not file.is_file():
        raise UserError(f"{file}: no such checkpoint; was the run trained to its end?")
    process_rank = device_named(device)
    return build_predictor(cfg, load_method(cfg, file).to(process_rank).eval(), process_rank)


def load_method(cfg: DictConfig, file: Path) -> Method:
    """A run's method with the weights of one of its checkpoints."""
    method = build_method(cfg, untrained=False)
    load_weights(method, file)
    return method


def last_stage(run_folder: Path, cfg: DictConfig) -> Path:
    """The checkpoints of a run's last stage."""
    return RunFolder(run_folder).checkpoints(str(cfg.method.stages[-1].name))


def device_named(name: str) -> torch.device:
    """A device by its name.

    Raises:
        UserError: torch has no such device, or this machine has not.
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
        raise UserError(f"{folder.path}: not a run folder, it has no {CONFIG}")
    try:
        cfg = OmegaConf.create(folder.config())
    except Exception as error:  # OmegaConf's own
        raise UserError(f"{file}: cannot be read ({one_line(error)})") from error
    if "method" not in cfg or "stages" not in cfg.method:
        raise UserError(f"{file}: not the config of a run of this version, its method has no stages")
    return cfg
