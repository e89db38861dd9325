"""Refuses, before a run is listed, a ``_target_`` of the user that is missing or is not let through."""

import re
from collections.abc import Sequence
from functools import cache

from omegaconf import DictConfig, OmegaConf

from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError
from mandseg.system.instantiation import targets_in, trusted


def refuse_targets(configs: Sequence[DictConfig]) -> None:
    """Look up each target that no config of mandseg names; only then its package is imported.

    Raises:
        UserError: One line for each that cannot be found, is no class or function, or is really of another package.
    """
    problems: dict[str, None] = {}
    for cfg in configs:
        settings = {str(key): cfg[key] for key in cfg if key not in ("hydra", "trusted_packages")}
        packages = list(cfg.trusted_packages)
        for name, node in settings.items():
            plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else None
            for key, target in targets_in(plain, name):
                if target not in _shipped():
                    problems |= dict.fromkeys(_problems(key, target, tuple(packages)))
    if problems:
        raise UserError(list(problems))


@cache
def _problems(key: str, target: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    try:
        trusted(key, target, packages)
    except UserError as error:
        return tuple(error.problems)
    return ()


@cache
def _shipped() -> frozenset[str]:
    """The targets in the configs of mandseg itself."""
    texts = [file.read_text(encoding="utf-8") for file in config_folder().rglob("*.yaml")]
    return frozenset(found for text in texts for found in re.findall(r"_target_: ([\w.]+)", text))
