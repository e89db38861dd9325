"""The schema of conf/train.yaml: type and range of every setting, checked before anything is made; no torch here.

A group whose ``_target_`` is not of mandseg is the user's own: what it takes is for the user's class to say.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import chain
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf

from mandseg.metrics.declaration import declare
from mandseg.runs.settings.expectations import (
    FINITE,
    FLAG,
    LENGTHS,
    NAME,
    NOT_NEGATIVE,
    PACKAGES,
    PATH,
    POSITIVE,
    SHARE,
    SIZES,
    STUDY,
    TEXT,
    Expectation,
    list_of,
    number,
    one_of,
    optional,
    shown,
    whole,
)
from mandseg.runs.settings.granularity import granularity, needs_more_than
from mandseg.system.errors import UserError
from mandseg.system.instantiation import misnamed, targets_in

Node = Mapping[str, Any]

ACCELERATORS = ("auto", "cpu", "gpu", "cuda")
PRECISIONS = (
    *("auto", "32-true", "bf16-mixed", "16-mixed", "64-true", "bf16-true", "16-true"),
    *("32", "64", "16", "bf16", 32, 64, 16),
)
OF_THE_RUN = (  # arguments of Lightning's Trainer that mandseg gives itself
    *("max_epochs", "max_steps", "min_epochs", "min_steps", "max_time", "logger", "callbacks", "default_root_dir"),
    *("use_distributed_sampler", "num_sanity_val_steps", "log_every_n_steps", "enable_model_summary"),
    *("val_check_interval", "check_val_every_n_epoch", "accumulate_grad_batches", "enable_checkpointing"),
    *("limit_train_batches", "fast_dev_run", "overfit_batches", "reload_dataloaders_every_n_epochs", "barebones"),
)
RATIO = number(0, 1, "a share of cases, expected a number from 0 to 1", plain=True)
METRICS_OF_A_NOISE = ("target_dice", "target_hd95_mm")


@dataclass(frozen=True)
class Preprocessing:
    """Group ``preprocessing``."""

    CLASS: ClassVar = "Preprocessing"
    spacing_mm: Annotated[list[float], LENGTHS]
    margin_mm: Annotated[float, number(0, 1000, "a length in mm, 0 to 1000")] = 10.0


@dataclass(frozen=True)
class HuWindow:
    """Group ``hu_window``."""

    CLASS: ClassVar = "HuWindow"
    low: Annotated[float, FINITE]
    high: Annotated[float, FINITE]


@dataclass(frozen=True)
class Patches:
    """Group ``patches``."""

    patch_size: Annotated[list[int], SIZES]
    foreground_share: Annotated[float, SHARE]
    jitter_share: Annotated[float, SHARE]
    augmentation: Any


@dataclass(frozen=True)
class Segmenter:
    """Group ``segmenter``."""

    warmup_steps: Annotated[int, whole(0)]
    final_lr_share: Annotated[float, SHARE]
    foreground_prior: Annotated[float, number(0, 1, "a share between 0 and 1, neither of them", ends=False)]


@dataclass(frozen=True)
class SlidingWindow:
    """Group ``sliding_window``."""

    CLASS: ClassVar = "SlidingWindow"
    patch_size: Annotated[list[int], SIZES]
    overlap: Annotated[float, number(0, 0.95, "a share, 0 to 0.95")]
    batch_size: Annotated[int, whole(1)] = 4


@dataclass(frozen=True)
class Evaluation:
    """Group ``evaluation``."""

    checkpoint: Annotated[str, one_of("last", "best")]
    smallest_piece: Annotated[float, SHARE]
    save_predictions: Annotated[bool, FLAG]
    shared_subjects: Annotated[list[str], list_of(TEXT, "a list of subject ids")]


@dataclass(frozen=True)
class Tracking:
    """Group ``tracking``."""

    CLASS: ClassVar = "TrackingSettings"
    mode: Annotated[str, one_of("auto", "online", "offline", "disabled")]
    project: Annotated[str, TEXT]
    entity: Annotated[str | None, optional(TEXT)]
    case_table: Annotated[bool, FLAG]
    overlays: Annotated[bool, FLAG]
    init_timeout_s: Annotated[float, POSITIVE]
    finish_timeout_s: Annotated[float, POSITIVE]


@dataclass(frozen=True)
class Noise:
    """Group ``noise``: what all presets have in common; a recorded one has no severity."""

    OPEN: ClassVar = True
    name: Annotated[str, NAME]
    seed: Annotated[int, whole(0)] = 0
    severity: Annotated[float, NOT_NEGATIVE] = 1.0
    bias_mm: Annotated[float, number(-100, 100, "a length in mm, -100 to 100")] = 0.0
    target_dice: Annotated[float | None, optional(number(0, 1, "a Dice above 0, up to 1", above=True))] = None
    target_hd95_mm: Annotated[float | None, optional(NOT_NEGATIVE)] = None
    annotators: Annotated[list[str] | None, optional(list_of(TEXT, "a list of names", least=1))] = None
    leave_out: Annotated[str | None, optional(TEXT)] = None


@dataclass(frozen=True)
class Data:
    """Group ``data``."""

    OPEN: ClassVar = True
    name: Annotated[str, NAME]
    manifest: Annotated[str, PATH] = "manifest.csv"


@dataclass(frozen=True)
class Network:
    """Node ``model.network``: what is the same in every network of MONAI."""

    OPEN: ClassVar = True
    spatial_dims: Annotated[int, one_of(3)] = 3
    in_channels: Annotated[int, one_of(1)] = 1
    out_channels: Annotated[int, one_of(1)] = 1


@dataclass(frozen=True)
class Model:
    """Group ``model``."""

    OPEN: ClassVar = True
    name: Annotated[str, NAME]
    network: Network


@dataclass(frozen=True)
class Method:
    """Group ``method``."""

    OPEN: ClassVar = True
    name: Annotated[str, NAME]


@dataclass(frozen=True)
class Optimizer:
    """Group ``optimizer``: what is the same in every optimiser of torch."""

    OPEN: ClassVar = True
    lr: Annotated[float, POSITIVE] = 1e-3
    weight_decay: Annotated[float, NOT_NEGATIVE] = 0.0


@dataclass(frozen=True)
class Trainer:
    """Group ``trainer``; further arguments of Lightning's Trainer may be added."""

    OPEN: ClassVar = True
    accelerator: Annotated[str, one_of(*ACCELERATORS)]
    devices: Any
    strategy: Any
    precision: Annotated[str, one_of(*PRECISIONS)]
    gradient_clip_val: Annotated[float | None, optional(NOT_NEGATIVE)]
    sync_batchnorm: Annotated[bool, FLAG]
    enable_progress_bar: Annotated[bool, FLAG]


@dataclass(frozen=True)
class Settings:
    """The whole config."""

    OPEN: ClassVar = True
    study: Annotated[str, STUDY]
    noise_ratio: Annotated[float, RATIO]
    seed: Annotated[int, whole(0, 2**32 - 1)]
    steps: Annotated[int, whole(1)]
    validations: Annotated[int, whole(1)]
    memorisation: Annotated[int, whole(0)]
    batch_size: Annotated[int, whole(1)]
    checkpoint_minutes: Annotated[float, NOT_NEGATIVE]
    num_workers: Annotated[int, whole(0, 1024)]
    debug: Annotated[bool, FLAG]
    output_dir: Annotated[str, PATH]
    cache_dir: Annotated[str, PATH]
    trusted_packages: Annotated[list[str], PACKAGES]
    data: Data
    noise: Noise
    model: Model
    method: Method
    preprocessing: Preprocessing
    hu_window: HuWindow
    patches: Patches
    optimizer: Optimizer
    segmenter: Segmenter
    sliding_window: SlidingWindow
    evaluation: Evaluation
    trainer: Trainer
    tracking: Tracking


def check_settings(cfg: DictConfig) -> None:
    """Refuse a config with a setting of a wrong type, out of range or at odds with another.

    Raises:
        UserError: One line for the first one: its name, its value and what was expected.
    """
    plain = {str(key): _plain(cfg, str(key)) for key in cfg if key != "hydra"}
    for problem in chain(_problems(Settings, plain, ""), _odd_pairs(plain)):  # the pairs of what is right by itself
        raise UserError(problem)
    declare(plain["analysis"])


def _plain(cfg: DictConfig, key: str) -> Any:
    node = cfg[key]
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _problems(schema: type, node: Any, prefix: str) -> Iterator[str]:
    """Lines on what in a node is not as its schema says."""
    if not isinstance(node, Mapping):
        yield f"{prefix.rstrip('.')}={shown(node)}: expected a group of settings"
        return
    if _is_foreign(schema, node):
        return
    known = {field.name for field in fields(schema)}
    if not hasattr(schema, "OPEN") and (strange := [k for k in node if k not in known and not str(k).startswith("_")]):
        yield f"{prefix}{strange[0]}={shown(node[strange[0]])}: expected one of {', '.join(sorted(known))}"
    for name, inner, expectation, needed in _rules(schema):
        if name not in node:
            if needed:
                yield f"{prefix}{name}: is missing"
        elif is_dataclass(inner):
            yield from _problems(inner, node[name], f"{prefix}{name}.")
        elif expectation is not None and not expectation.holds(node[name]):
            yield f"{prefix}{name}={shown(node[name])}: {expectation}"


def _is_foreign(schema: type, node: Node) -> bool:
    """Whether a group that is an object of ours was replaced by the user's."""
    name, target = getattr(schema, "CLASS", None), str(node.get("_target_", ""))
    return name is not None and not (target.startswith("mandseg.") and target.endswith(f".{name}"))


@cache
def _rules(schema: type) -> tuple[tuple[str, Any, Expectation | None, bool], ...]:
    """Name, type, expectation and whether it must be there, of each field."""
    hints = get_type_hints(schema, include_extras=True)
    needed = {field.name: field.default is field.default_factory for field in fields(schema)}
    return tuple(
        (field.name, hints[field.name], next(iter(get_args(hints[field.name])[1:]), None), needed[field.name])
        for field in fields(schema)
    )


def _odd_pairs(cfg: Node) -> Iterator[str]:
    """Lines on settings that are each in range and contradict each other."""
    if cfg["steps"] % cfg["validations"]:
        yield f"steps={cfg['steps']} cannot be divided evenly by validations={cfg['validations']}"
    window = cfg["hu_window"]
    if not _is_foreign(HuWindow, window) and not window["low"] < window["high"]:
        yield f"hu_window.low={window['low']}: expected less than hu_window.high={window['high']}"
    for key, target in targets_in(cfg, ""):
        if problem := misnamed(key.lstrip("."), target, cfg["trusted_packages"]):
            yield problem
    yield from _odd_sizes(cfg)
    yield from _odd_devices(cfg["trainer"])
    noise = cfg["noise"]
    if all(noise.get(name) is not None for name in METRICS_OF_A_NOISE):
        yield f"noise.target_dice={noise['target_dice']} and noise.target_hd95_mm={noise['target_hd95_mm']}: give one"
    for name, path in _mapping("eval", cfg["eval"]):
        if not NAME.holds(name):
            yield f"eval.{name}={shown(path)}: the name of a data set, {NAME}"
        if not PATH.holds(path):
            yield f"eval.{name}={shown(path)}: {PATH}"


def _mapping(name: str, node: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping):
        raise UserError(f"{name}={shown(node)}: expected {name}.NAME=PATH of a manifest")
    yield from node.items()


def _odd_sizes(cfg: Node) -> Iterator[str]:
    """Patches and windows that the network would halve into pieces that do not fit together again, or into one."""
    network, model = cfg["model"]["network"], f"model={cfg['model']['name']}"
    multiple = granularity(network)
    wanted = shown(multiple[0] if len(set(multiple)) == 1 else list(multiple))
    sizes = {"patches.patch_size": cfg["patches"]["patch_size"]}
    if not _is_foreign(SlidingWindow, cfg["sliding_window"]):
        sizes["sliding_window.patch_size"] = cfg["sliding_window"]["patch_size"]
    for name, size in sizes.items():
        if any(voxels % step for voxels, step in zip(size, multiple, strict=True)):
            yield f"{name}={shown(size)}: expected multiples of {wanted} for {model}"
    size = cfg["patches"]["patch_size"]
    if needs_more_than(size, network, cfg["batch_size"]):
        yield f"patches.patch_size={shown(size)}: {model} makes one voxel of it, expected larger patches"


def _odd_devices(trainer: Node) -> Iterator[str]:
    devices = trainer["devices"]
    if not _are_devices(devices):
        yield f"trainer.devices={shown(devices)}: expected a number of devices, a list of them, or auto"
    if trainer["strategy"] is None or trainer["strategy"] == "":
        yield f"trainer.strategy={shown(trainer['strategy'])}: expected auto or a strategy of Lightning, e.g. ddp"
    for name in OF_THE_RUN:
        if name in trainer:
            yield f"trainer.{name}={shown(trainer[name])}: expected no such setting, mandseg gives it to the trainer"


def _are_devices(devices: Any) -> bool:
    if isinstance(devices, list):
        return bool(devices) and all(whole(0).holds(device) for device in devices)
    if isinstance(devices, str):
        return devices in ("auto", "-1") or all(part.strip().isdecimal() for part in devices.split(",") if part)
    return whole(1).holds(devices) or (devices == -1 and not isinstance(devices, bool))
