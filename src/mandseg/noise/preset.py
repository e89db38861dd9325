"""Presets: the panels of conf/noise, for code that runs without a composed config."""

from typing import Any, cast

from mandseg.config_folder import config_folder
from mandseg.noise.panel import Panel

COMMON = "panel"  # what every preset starts from


def load_preset(name: str, **knobs: Any) -> Panel:
    """Make the panel of a preset, e.g. ``planning``.

    Args:
        name: A file of conf/noise.
        knobs: Settings of the noise group to change: severity, seed, target_dice and so on.
    """
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    folder = config_folder() / "noise"
    own = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml")))
    own.pop("defaults", None)
    config = OmegaConf.create({"noise": OmegaConf.merge(OmegaConf.load(folder / f"{COMMON}.yaml"), own, knobs)})
    return cast(Panel, instantiate(config.noise.source))
