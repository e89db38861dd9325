"""Where the configs are: inside the installed package, or at the top of a checkout."""

from pathlib import Path


def config_folder() -> Path:
    """The absolute path of conf/."""
    here = Path(__file__).resolve().parent
    packaged = here / "conf"
    return packaged if packaged.is_dir() else here.parents[1] / "conf"
