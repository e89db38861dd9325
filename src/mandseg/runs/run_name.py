"""The name of a run folder: a readable part of its condition, and the hash."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

NOISE_SETTINGS: dict[str, tuple[str, Any]] = {
    "seed": ("seed", 0),
    "severity": ("x", 1.0),
    "bias_mm": ("bias", 0.0),
    "target_dice": ("dice", None),
    "target_hd95_mm": ("hd95_", None),
    "annotators": ("by_", None),
    "leave_out": ("without_", None),
}
"""Settings of a noise preset: the mark of a change in the name of a condition, and the value without a change."""

UNNAMED = "cohort"  # the name in conf/data/folder.yaml
LONGEST = 60  # letters of a value in a name; file systems allow names of 255 bytes


def noise_label(noise: DictConfig) -> str:
    """Name the noise by its preset and the changed settings, e.g. ``planning-dice0.85``."""
    changed = [
        f"{mark}{_short(noise[name])}"
        for name, (mark, default) in NOISE_SETTINGS.items()
        if name in noise and noise[name] != default
    ]
    return "-".join([noise.name, *changed])


def name_of(c: Mapping[str, Any]) -> str:
    """The run folder's name of a condition."""
    ratio = f"{c['noise_ratio']:.6f}".rstrip("0").rstrip(".")
    return f"ratio{ratio}_seed{c['seed']}_{c['noise']}_{c['model']}_{c['method']}_{c['config_hash']}"


def study_of_data(root: DictConfig) -> str:
    """The default name of a study: the name of the data, and for a cohort without one the name of its folder.

    Args:
        root: The config.
    """
    data = root.data
    if data.name != UNNAMED or "manifest" not in data:
        return str(data.name)
    path = Path(str(data.manifest)).expanduser().resolve()
    return path.name if path.is_dir() else path.parent.name


def _short(value: Any) -> str:
    """A value as a part of a folder's name; a long value is cut, and the hash still differs."""
    text = (
        "+".join(map(str, value))
        if OmegaConf.is_list(value)
        else f"{value:g}"
        if isinstance(value, int | float)
        else str(value)
    )
    return "".join(letter if letter.isalnum() or letter in ".+-_" else "_" for letter in text)[:LONGEST]
