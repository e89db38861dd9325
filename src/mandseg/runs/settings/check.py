"""Checks the type and the range of every setting of a config, before any object is made and without torch.

A group whose ``_target_`` is not in mandseg belongs to the user. The user's class checks its arguments.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import chain
from typing import Any, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf

from mandseg.metrics.declaration import declare
from mandseg.runs.settings.granularity import granularity, needs_more_than
from mandseg.runs.settings.schema import HuWindow, Settings, SlidingWindow
from mandseg.system.errors import UserError
from mandseg.system.expectations import NAME, PATH, Expectation, shown, whole
from mandseg.system.instantiation import misnamed, targets_in
from mandseg.system.wording import expected_one_of

Node = Mapping[str, Any]

OF_THE_RUN = (  # arguments of Lightning's Trainer that mandseg sets
    *("max_epochs", "max_steps", "min_epochs", "min_steps", "max_time", "logger", "callbacks", "default_root_dir"),
    *("use_distributed_sampler", "num_sanity_val_steps", "log_every_n_steps", "enable_model_summary"),
    *("val_check_interval", "check_val_every_n_epoch", "accumulate_grad_batches", "enable_checkpointing"),
    *("limit_train_batches", "fast_dev_run", "overfit_batches", "reload_dataloaders_every_n_epochs", "barebones"),
)
OF_A_NETWORK = (
    *("model", "method", "loss", "preprocessing", "hu_window", "sliding_window", "patches", "batch_size", "seed"),
)
SMALLEST_PIECE = ("evaluation.smallest_piece", "evaluation=", "evaluation:")
"""The only setting of the evaluation that a prediction needs, and the beginnings of lines about the whole group."""
METRICS_OF_A_NOISE = ("target_dice", "target_hd95_mm")


def check_settings(cfg: DictConfig) -> None:
    """Refuse a config with a setting that has a wrong type, is out of range or contradicts another.

    Raises:
        UserError: One line for the first one: its name, its value and the expected values.
    """
    plain = {str(key): _plain(cfg, str(key)) for key in cfg if key != "hydra"}
    for problem in chain(_without_effect(cfg), _problems(Settings, plain, ""), _contradictions(plain)):
        raise UserError(problem)
    declare(plain["analysis"])


def _without_effect(cfg: DictConfig) -> Iterator[str]:
    """Settings that a ``+`` or a config file added, and that no other setting refers to."""
    known = {*(field.name for field in fields(Settings)), "eval", "analysis", "hydra"}
    if added := [str(key) for key in cfg if key not in known]:
        text = OmegaConf.to_yaml(cfg)
        unused = [key for key in added if not re.search(rf"\$\{{{re.escape(key)}\b", text)]
        yield from (f"{key}: there is no such setting; {expected_one_of(key, known - {'hydra'})}" for key in unused)


def check_network_settings(cfg: DictConfig) -> None:
    """Refuse a stored config whose settings of the network or of the prediction have a wrong type or range.

    Raises:
        UserError: One line for the first one.
    """
    plain = {str(key): _plain(cfg, str(key)) for key in cfg}
    for problem in _problems(Settings, plain, ""):
        if re.split("[.=:]", problem)[0] in OF_A_NETWORK or problem.startswith(SMALLEST_PIECE):
            raise UserError(problem)


def _plain(cfg: DictConfig, key: str) -> Any:
    node = cfg[key]
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _problems(schema: type, node: Any, prefix: str) -> Iterator[str]:
    """One line for each setting of a node that does not fit its schema."""
    if node is None and hasattr(schema, "NULL"):
        return
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
        elif isinstance(inner, type) and is_dataclass(inner):
            yield from _problems(inner, node[name], f"{prefix}{name}.")
        elif expectation is not None and not expectation.holds(node[name]):
            yield f"{prefix}{name}={shown(node[name])}: {expectation}"


def _is_foreign(schema: type, node: Node) -> bool:
    """Whether a group that is an object of ours was replaced by the user's."""
    name, target = getattr(schema, "CLASS", None), str(node.get("_target_", ""))
    return name is not None and not (target.startswith("mandseg.") and target.endswith(f".{name}"))


@cache
def _rules(schema: type) -> tuple[tuple[str, Any, Expectation | None, bool], ...]:
    """Of each field: its name, its type, its expectation, and whether it is required."""
    hints = get_type_hints(schema, include_extras=True)
    needed = {field.name: field.default is field.default_factory for field in fields(schema)}
    return tuple(
        (field.name, hints[field.name], next(iter(get_args(hints[field.name])[1:]), None), needed[field.name])
        for field in fields(schema)
    )


def _contradictions(cfg: Node) -> Iterator[str]:
    """One line for each contradiction between settings that are in range."""
    if cfg["steps"] % cfg["validations"]:
        yield f"steps={cfg['steps']} cannot be divided evenly by validations={cfg['validations']}"
    window = cfg["hu_window"]
    if not _is_foreign(HuWindow, window) and not window["low"] < window["high"]:
        yield f"hu_window.low={window['low']}: expected less than hu_window.high={window['high']}"
    for key, target in targets_in(cfg, ""):
        if problem := misnamed(key.lstrip("."), target, cfg["trusted_packages"]):
            yield problem
    yield from _misfit_sizes(cfg)
    yield from _device_problems(cfg["trainer"])
    noise = cfg["noise"]
    if all(noise.get(name) is not None for name in METRICS_OF_A_NOISE):
        yield f"noise.target_dice={noise['target_dice']} and noise.target_hd95_mm={noise['target_hd95_mm']}: give one"
    if not isinstance(cfg["eval"], Mapping):
        raise UserError(f"eval={shown(cfg['eval'])}: expected eval.NAME=PATH of a manifest")
    for name, path in cfg["eval"].items():
        if not NAME.holds(name):
            yield f"eval.{name}={shown(path)}: the name of a data set, {NAME}"
        if not PATH.holds(path):
            yield f"eval.{name}={shown(path)}: {PATH}"


def _misfit_sizes(cfg: Node) -> Iterator[str]:
    """Patches and windows whose size does not fit the network's halvings, or which it reduces to one voxel."""
    network, model = cfg["model"]["network"], f"model={cfg['model']['name']}"
    multiple = granularity(network)
    wanted = shown(multiple[0] if len(set(multiple)) == 1 else list(multiple))
    sizes = {"patches.patch_size": cfg["patches"]["patch_size"]}
    if not _is_foreign(SlidingWindow, cfg["sliding_window"]) and cfg["sliding_window"]["patch_size"] != "auto":
        sizes["sliding_window.patch_size"] = cfg["sliding_window"]["patch_size"]
    for name, size in sizes.items():
        if any(voxels % step for voxels, step in zip(size, multiple, strict=True)):
            yield f"{name}={shown(size)}: expected multiples of {wanted} for {model}"
    size = cfg["patches"]["patch_size"]
    if needs_more_than(size, network, cfg["batch_size"]):
        yield f"patches.patch_size={shown(size)}: {model} reduces it to one voxel, expected larger patches"


def _device_problems(trainer: Node) -> Iterator[str]:
    devices = trainer["devices"]
    if not _are_devices(devices):
        yield f"trainer.devices={shown(devices)}: expected a number of devices, a list of them, or auto"
    if not isinstance(trainer["strategy"], str | Mapping) or not trainer["strategy"]:
        yield f"trainer.strategy={shown(trainer['strategy'])}: expected auto or a strategy of Lightning, e.g. ddp"
    for name in OF_THE_RUN:
        if name in trainer:
            yield f"trainer.{name}={shown(trainer[name])}: expected no such setting, mandseg sets it"


def _are_devices(devices: Any) -> bool:
    if isinstance(devices, list):
        return bool(devices) and all(whole(0).holds(device) for device in devices)
    if isinstance(devices, str):
        return devices in ("auto", "-1") or all(part.strip().isdecimal() for part in devices.split(",") if part)
    return whole(1).holds(devices) or (devices == -1 and not isinstance(devices, bool))
