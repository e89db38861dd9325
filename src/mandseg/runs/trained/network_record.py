"""What a checkpoint carries beside its weights: all that is needed to predict with it on another machine.

Only plain values: settings of the network and of the preprocessing, versions, condition, and a summary of the training.
It names no path, no case and no package to trust.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from mandseg.evaluation.prediction.training_summary import TrainingSummary
from mandseg.runs.provenance import versions
from mandseg.system.errors import UserError, one_line

NETWORK = "mandseg_network"  # key in a checkpoint
FORMAT = 1
SETTINGS = (
    *("structure", "model", "method", "loss", "preprocessing", "hu_window", "sliding_window", "patches"),
    *("batch_size", "seed"),
)
"""The groups and settings that make a predictor."""


def network_record(
    cfg: DictConfig, condition: Mapping[str, Any], precision: str, training: TrainingSummary | None
) -> dict[str, dict[str, Any]]:
    """The entry of a checkpoint, under its key; ``precision`` is the arithmetic of its test."""
    plain = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    settings = {key: plain[key] for key in SETTINGS} | {
        "segmenter": {"foreground_prior": plain["segmenter"]["foreground_prior"]},
        "evaluation": {"smallest_piece": plain["evaluation"]["smallest_piece"]},
    }
    record = {
        "format": FORMAT,
        "settings": settings,
        "condition": dict(condition),
        "precision": precision,
        "versions": versions(),
        "training": training.as_plain() if training else None,
    }
    return {NETWORK: record}


def settings_of_record(record: Mapping[str, Any], trusted_packages: Sequence[str]) -> DictConfig:
    """The settings of a checkpoint as a config.

    Args:
        record: The entry of the checkpoint.
        trusted_packages: Packages of the user's own. A checkpoint cannot name any.

    Raises:
        UserError: The entry is of another format.
    """
    if record.get("format") != FORMAT or not isinstance(record.get("settings"), dict):
        raise UserError(f"its network is written in format {record.get('format')}, this version reads {FORMAT}")
    cfg = config_of(record["settings"])
    cfg.trusted_packages = list(trusted_packages)
    return cfg


def is_plain(value: Any) -> bool:
    """Whether a stored value is made of groups, lists, texts and numbers; a tensor is not."""
    if isinstance(value, dict | list | tuple):
        return all(map(is_plain, [*value, *value.values()] if isinstance(value, dict) else value))
    return value is None or isinstance(value, str | int | float)


def config_of(settings: Mapping[str, Any]) -> DictConfig:
    """Stored settings as a config. A run stores them resolved, so that they read nothing of this machine.

    Raises:
        UserError: They hold an interpolation, or a value that no setting has.
    """
    if "${" in repr(settings):
        raise UserError("its settings hold an interpolation (${...}), expected plain values")
    try:
        return OmegaConf.create(dict(settings))
    except Exception as error:  # OmegaConf's own
        raise UserError(f"its settings cannot be read ({one_line(error)})") from error
