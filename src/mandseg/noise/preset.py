"""Presets: the panels of conf/noise for code without a composed config."""

from typing import Any, cast

from mandseg.noise.panel import Panel
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError
from mandseg.system.wording import expected_one_of

COMMON = "panel"  # the defaults of every preset
NO_PANEL = "recorded"  # the file of conf/noise without simulation


def load_preset(name: str, **parameters: Any) -> Panel:
    """Make the panel of a preset, e.g. ``planning``.

    Args:
        name: A file of conf/noise.
        parameters: Settings of the noise group to change: severity, seed, target_dice and so on.

    Raises:
        UserError: There is no such preset, or a parameter has an impossible value.
    """
    from omegaconf import OmegaConf

    from mandseg.system.instantiation import make

    folder = config_folder() / "noise"
    known = sorted({file.stem for file in folder.glob("*.yaml")} - {NO_PANEL})
    if name not in known:
        raise UserError(f"noise preset {name!r}: {expected_one_of(name, known)}")
    own = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml")))
    own.pop("defaults", None)
    config = OmegaConf.create({"noise": OmegaConf.merge(OmegaConf.load(folder / f"{COMMON}.yaml"), own, parameters)})
    return cast(Panel, make(config.noise.source, "noise.source"))
