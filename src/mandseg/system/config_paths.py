"""Where the configs are: inside the installed package, or at the top of a checkout; and where the cache is."""

import os
from collections.abc import Callable
from inspect import signature
from pathlib import Path

from omegaconf import OmegaConf

from mandseg.system.errors import UserError


def config_folder() -> Path:
    """The absolute path of conf/: one file for each choice."""
    return _folder("conf")


def sweeps_folder() -> Path:
    """The absolute path of sweeps/: whole grids, run with ``--config-name``."""
    return _folder("sweeps")


def home_folder() -> Path:
    """The user's home folder; the root where there is none, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def cache_folder() -> str:
    """The cache where no setting names one: MANDSEG_CACHE, else a folder in the home folder.

    Raises:
        UserError: Neither is set.
    """
    if named := os.environ.get("MANDSEG_CACHE"):
        return named
    if home := os.environ.get("HOME"):
        return f"{home}/.cache/mandseg"
    raise UserError("cache_dir: neither MANDSEG_CACHE nor HOME is set in the environment; give cache_dir=FOLDER")


def _folder(name: str) -> Path:
    here = Path(__file__).resolve().parents[1]
    packaged = here / name
    return packaged if packaged.is_dir() else here.parents[1] / name


def register_resolver(name: str, resolver: Callable[..., str]) -> None:
    """Let configs use ``${name:}``. OmegaConf 2.4 and 2.3 have different functions for it."""
    new = "replace" in signature(OmegaConf.register_resolver).parameters
    register: Callable[..., None] = OmegaConf.register_resolver if new else OmegaConf.register_new_resolver
    register(name, resolver, replace=True)


register_resolver("cache_folder", cache_folder)
