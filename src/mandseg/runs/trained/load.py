"""A trained network from a run folder, or from a checkpoint file that lies anywhere."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mandseg.data.structure import MANDIBLE
from mandseg.evaluation.prediction.network import TrainedNetwork
from mandseg.evaluation.prediction.training_summary import TrainingSummary, summary_from
from mandseg.evaluation.predictor import Predictor
from mandseg.runs.build import build_method, build_predictor
from mandseg.runs.folder import CONFIG, RunFolder
from mandseg.runs.run_name import name_of
from mandseg.runs.settings.check import check_network_settings
from mandseg.runs.trained.foreign_checkpoint import kind_of_content, kind_of_file
from mandseg.runs.trained.network_record import NETWORK, config_of, is_plain, settings_of_record
from mandseg.system.errors import RunFailedError, UserError, one_line
from mandseg.system.names import printable
from mandseg.training.checkpoint import BEST, LAST, MARK, read_checkpoint
from mandseg.training.fit import load_weights
from mandseg.training.methods.method import Method
from mandseg.training.precision import FP32, can_compute, device_kind

CHECKPOINT_FILES = {"last": LAST, "best": BEST}
CHECKPOINT_SUFFIX = ".ckpt"
DEVICE = re.compile(r"(cpu|cuda)(:\d+)?")
MOST_SHARED = 10  # layers of a network may share weights, which a file holds once
EXPECTED = "expected a checkpoint, a run folder or a study of mandseg"


def load_predictor(run_folder: Path, checkpoint: Literal["last", "best"] = "last", device: str = "auto") -> Predictor:
    """The predictor with which a run was tested; it takes any image and uses no cache.

    The arithmetic is that of the test (``test_precision`` in run.json). Where the device has no instructions for it,
    float32 is used: masks then differ in single voxels.

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
    return load_network(run_folder, checkpoint, device).predictor


def load_network(
    place: Path, checkpoint: str | None = None, device: str = "auto", trusted_packages: Sequence[str] = ()
) -> TrainedNetwork:
    """The network of a run folder, built from its config.yaml; or of a checkpoint file, built from the file alone.

    A checkpoint file names no package to trust, so a network of the user's own needs ``trusted_packages``.

    Args:
        place: A run folder or a file ``*.ckpt``.
        checkpoint: As for :func:`load_predictor`, for a run folder only; default: the one the run was tested with.
        device: As for :func:`load_predictor`.
        trusted_packages: Further packages that the settings of a checkpoint file may name.

    Raises:
        UserError: As :func:`load_predictor`; or the file was written by a version that did not describe its network.
    """
    if place.is_file() or place.suffix == CHECKPOINT_SUFFIX:
        file, record = place, _record_of(place, required=True)
        try:
            cfg = settings_of_record(record, trusted_packages)
        except UserError as error:
            raise UserError(f"{file}: {error}") from error
    else:
        cfg = read_settings(RunFolder(place))
        file = checkpoint_of(place, cfg, checkpoint)
        record = _record_of(file, required=False)
    place_of_work = device_named(device)
    try:
        check_network_settings(cfg)
    except (UserError, OmegaConfBaseException) as error:
        raise UserError(f"{file}: {one_line(error)}") from error
    try:
        method = load_method(cfg, file).to(place_of_work).eval()
        predictor = build_predictor(cfg, method, place_of_work, _precision(place, record, place_of_work))
        smallest_piece = float(cfg.evaluation.smallest_piece)
    except OmegaConfBaseException as error:
        raise UserError(f"{file}: its settings cannot be used ({one_line(error)})") from error
    except RunFailedError as error:  # a weight is not finite
        raise UserError(f"{file}: {one_line(error)}") from error
    structure = str(cfg.structure) if "structure" in cfg else MANDIBLE  # earlier versions did not record it
    return TrainedNetwork(
        _name(place, record), predictor, structure, smallest_piece, _training(file, record), _digest(file)
    )


def load_method(cfg: DictConfig, file: Path) -> Method:
    """A run's method with the weights of one of its checkpoints."""
    _refuse_claims(cfg, file)
    method = build_method(cfg, untrained=False)
    load_weights(method, file)
    return method


def _refuse_claims(cfg: DictConfig, file: Path) -> None:
    """Refuse settings of a network that cannot be the one in the file, before it takes memory."""
    try:
        with torch.device("meta"):
            state = build_method(cfg, untrained=False).state_dict().values()
        needed, stored = sum(tensor.nbytes for tensor in state), file.stat().st_size
    except Exception:  # a network may need values to be made; what is wrong with settings or file is found next
        return
    if needed > MOST_SHARED * stored:
        raise UserError(
            f"{file}: its settings describe a network of {needed / 2**30:.3g} GiB, and the file has "
            f"{stored / 2**20:.2g} MiB; it was damaged or changed"
        )


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
        unknown = "there is no such device; expected auto, cpu, cuda or cuda:1"
        why = f"cannot be used here ({one_line(error)}); take auto or cpu" if DEVICE.fullmatch(name) else unknown
        raise UserError(f"device {printable(name)}: {why}") from error
    return device


def checkpoint_of(run_folder: Path, cfg: DictConfig, checkpoint: str | None = None) -> Path:
    """The checkpoint file of a run; by default the one with which it was tested.

    Raises:
        UserError: There is no such checkpoint.
    """
    wanted = checkpoint or str(cfg.evaluation.checkpoint)
    if wanted not in CHECKPOINT_FILES:
        raise UserError(f"checkpoint {wanted!r}: expected one of {', '.join(CHECKPOINT_FILES)}")
    file = last_stage(run_folder, cfg) / CHECKPOINT_FILES[wanted]
    if not file.is_file():
        raise UserError(f"{file}: no such checkpoint; was the run trained to its end?")
    return file


def _record_of(file: Path, required: bool) -> Mapping[str, Any]:
    """What a checkpoint carries of its network; empty where an earlier version wrote it and it is not required."""
    if not file.is_file():
        raise UserError(f"{file}: no such checkpoint file")
    checkpoint = _read(file)
    record = checkpoint.get(NETWORK)
    if record is None and required:
        if MARK in checkpoint:
            raise UserError(f"{file}: holds weights alone, it was written by an earlier version; give its run folder")
        raise UserError(f"{file}: is {kind_of_content(checkpoint)}, {EXPECTED}")
    if not is_plain(record):
        raise UserError(f"{file}: the record of its network is damaged, expected plain values")
    return record if isinstance(record, Mapping) else {}


def _read(file: Path) -> dict[str, Any]:
    """Read a checkpoint; a file of another program is named instead of torch's error."""
    try:
        return read_checkpoint(file, "is it a checkpoint of mandseg?")
    except UserError as error:
        if kind := kind_of_file(file):
            raise UserError(f"{file}: is {kind}, {EXPECTED}") from error
        raise


def _precision(place: Path, record: Mapping[str, Any], device: torch.device) -> str:
    """The arithmetic of the run's test if the device has it, else float32, which the oldest versions tested in."""
    tested = str(record.get("precision") or RunFolder(place).facts().get("test_precision") or FP32)
    return tested if can_compute(tested, device) else FP32


def _training(file: Path, record: Mapping[str, Any]) -> TrainingSummary | None:
    try:
        return summary_from(record["training"]) if record.get("training") else None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: the summary of its training cannot be read ({one_line(error)})") from error


def _name(place: Path, record: Mapping[str, Any]) -> str:
    if place.is_dir():
        return place.resolve().name
    try:
        return name_of(record["condition"])
    except (KeyError, TypeError, ValueError):
        return place.stem


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:16]


def read_settings(folder: RunFolder) -> DictConfig:
    """The settings of a run.

    Raises:
        UserError: It has no readable config.yaml, or that of another version.
    """
    file = folder.config_file
    if not file.exists():
        raise UserError(f"{folder.path}: not a run folder, it has no {CONFIG}")
    try:
        cfg = config_of(folder.config())
    except (UserError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({one_line(error)})") from error
    if "method" not in cfg or not isinstance(cfg.method, Mapping) or "stages" not in cfg.method:
        raise UserError(f"{file}: not the config of a run of this version, its method has no stages")
    return cfg
