"""Where the configs are: inside the installed package, or at the top of a checkout."""

from pathlib import Path


def config_folder() -> Path:
    """The absolute path of conf/: one file for each choice."""
    return _folder("conf")


def sweeps_folder() -> Path:
    """The absolute path of sweeps/: whole grids, run with ``--config-name``."""
    return _folder("sweeps")


def _folder(name: str) -> Path:
    here = Path(__file__).resolve().parents[1]
    packaged = here / name
    return packaged if packaged.is_dir() else here.parents[1] / name
