"""The settings that a methods section names: the config of a run in, one typed object out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

Object = Mapping[str, Any]
"""An object of the config: ``_target_`` and its arguments."""


class MissingSettingError(ValueError):
    """The config lacks a key, or its value has the wrong type."""


def _at(key: str, *kinds: type) -> dict[str, Any]:
    """The key of a field in a config. ``a or b``: earlier versions have it at b."""
    return {"key": key, "kinds": kinds}


@dataclass(frozen=True)
class RunSettings:
    """The settings of one training and its test that a methods section needs; all are required."""

    data_name: str = field(metadata=_at("data.name", str))
    noise_name: str = field(metadata=_at("noise.name", str))
    noise: Object = field(metadata=_at("noise.source", Mapping))
    spacing_mm: Sequence[float] = field(metadata=_at("preprocessing.spacing_mm", list))
    margin_mm: float = field(metadata=_at("preprocessing.margin_mm", int, float))
    hu_low: float = field(metadata=_at("hu_window.low", int, float))
    hu_high: float = field(metadata=_at("hu_window.high", int, float))
    model_name: str = field(metadata=_at("model.name", str))
    network: Object = field(metadata=_at("model.network", Mapping))
    foreground_prior: float | None = field(metadata=_at("segmenter.foreground_prior", int, float, type(None)))
    method_name: str = field(metadata=_at("method.name", str))
    method: Object = field(metadata=_at("method", Mapping))
    loss: Object = field(metadata=_at("loss or method.loss", Mapping))
    steps: int = field(metadata=_at("steps", int))
    batch_size: int = field(metadata=_at("batch_size", int))
    patch_size: Sequence[int] = field(metadata=_at("patches.patch_size", list))
    foreground_share: float = field(metadata=_at("patches.foreground_share", int, float))
    jitter_share: float = field(metadata=_at("patches.jitter_share", int, float))
    augmentation: Object | None = field(metadata=_at("patches.augmentation", Mapping, type(None)))
    optimizer: Object = field(metadata=_at("optimizer", Mapping))
    warmup_steps: int = field(metadata=_at("segmenter.warmup_steps", int))
    final_lr_share: float = field(metadata=_at("segmenter.final_lr_share", int, float))
    gradient_clip: float | None = field(metadata=_at("trainer.gradient_clip_val", int, float, type(None)))
    checkpoint: str = field(metadata=_at("evaluation.checkpoint", str))
    window: Sequence[int] | str = field(metadata=_at("sliding_window.patch_size", list, str))
    overlap: float = field(metadata=_at("sliding_window.overlap", int, float))
    smallest_piece: float = field(metadata=_at("evaluation.smallest_piece", int, float))


def run_settings(config: Mapping[str, Any]) -> RunSettings:
    """Read a composed config.

    Raises:
        MissingSettingError: The config lacks a key, or a value has the wrong type; the line names the key.
    """
    return RunSettings(
        **{f.name: _setting(config, f.metadata["key"], f.metadata["kinds"]) for f in fields(RunSettings)}
    )


ABSENT = object()


def _setting(config: Mapping[str, Any], paths: str, kinds: tuple[type, ...]) -> Any:
    values = {path: value for path in paths.split(" or ") if (value := _value_at(config, path)) is not ABSENT}
    if not values:
        raise MissingSettingError(f"the settings lack {paths}")
    path, value = next(iter(values.items()))
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise MissingSettingError(f"the setting {path} is {value!r}, a value of another type is expected")
    return value


def _value_at(config: Mapping[str, Any], path: str) -> Any:
    value: Any = config
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return ABSENT
        value = value[key]
    return value
