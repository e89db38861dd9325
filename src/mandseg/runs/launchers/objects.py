"""Refuses, before a run is listed, objects that cannot be made from their settings or that do not fit together."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mandseg.runs.settings.typed_text import with_text
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError
from mandseg.system.instantiation import refuse_arguments

WITH_RANGES = ("preprocessing", "hu_window", "patches", "optimizer", "segmenter", "sliding_window")
"""Groups of conf/train.yaml whose values mandseg.runs.settings.check has compared with their ranges."""
KEPT = ("_target_", "_partial_", "strategy")  # values of such a group that no range describes


def refuse_objects(configs: Sequence[DictConfig]) -> None:
    """Make the objects of configs, without data, and refuse those that do not fit; each kind of config once.

    A config with the default network, method, loss and optimiser needs no such check. Its launch imports no torch.

    Raises:
        UserError: One line for each problem.
    """
    problems: dict[str, None] = {}
    for cfg in configs:
        try:
            _refuse(cfg)
        except UserError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise UserError(list(problems))


def _refuse(cfg: DictConfig) -> None:
    if _node(cfg.data.source) not in [choice["source"] for choice in _choices("data")]:
        source = OmegaConf.to_container(with_text(cfg).data.source, resolve=True)
        refuse_arguments(source, "data.source")
    if not _is_shipped(cfg):
        from mandseg.training.libraries import import_libraries

        import_libraries()
        from mandseg.runs.build import refuse_unfit

        refuse_unfit(with_text(cfg))


def _is_shipped(cfg: DictConfig) -> bool:
    """Whether tests of mandseg know that the objects can be made and fit together."""
    train, names = _file("train")
    return (
        all(_node(cfg[group]) == _choice(group, names[group]) for group in ("model", "method", "loss"))
        and all(_skeleton(_node(cfg[group])) == _skeleton(train[group]) for group in WITH_RANGES)
        and all(_skeleton(_node(cfg[group])) in map(_skeleton, _choices(group)) for group in ("trainer", "tracking"))
        and _node(cfg.noise.source) in [choice["source"] for choice in _choices("noise")]
    )


def _node(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node


def _skeleton(node: Any) -> Any:
    """The keys of a node without the values that have a range."""
    if not isinstance(node, dict):
        return None
    return {key: value if key in KEPT else _skeleton(value) for key, value in node.items()}


@cache
def _choices(group: str) -> tuple[dict[str, Any], ...]:
    """All files of a group in conf/."""
    return tuple(_choice(group, file.stem) for file in sorted((config_folder() / group).glob("*.yaml")))


@cache
def _choice(group: str, name: str) -> dict[str, Any]:
    """A file of a group in conf/, with the files that its defaults list names."""
    own, bases = _file(f"{group}/{name}")
    parts = [own if base == "_self_" else _choice(group, base) for base in bases or ("_self_",)]
    merged: dict[str, Any] = _node(OmegaConf.merge(*parts))
    return merged


@cache
def _file(name: str) -> tuple[dict[str, Any], Any]:
    """A file of conf/, and its defaults: a list of names, or the choices of the groups."""
    node = _node(OmegaConf.load(config_folder() / f"{name}.yaml"))
    defaults = node.pop("defaults", [])
    groups = {key: value for entry in defaults if isinstance(entry, dict) for key, value in entry.items()}
    return node, groups or defaults
