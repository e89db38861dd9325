"""The training command: ``python -m mandseg.train -m noise_ratio=0,0.2,0.5,1.0``.

Hydra composes a config for each cell of the grid. Each cell becomes one run folder; its name is the condition.
"""

import os
import sys

if __name__ == "__main__" and sys.path[:1] == [os.getcwd()] and not sys.flags.safe_path:  # noqa: PTH109
    del sys.path[0]  # `python -m` searches the current folder first: a file torch.py there would run

import contextlib
import logging
import traceback
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mandseg.runs.attempt import attempt_run
from mandseg.runs.folder import RunFolder
from mandseg.runs.settings.hydra_options import is_setting, refuse_options
from mandseg.runs.settings.hydra_words import in_plain_words
from mandseg.runs.settings.typed_text import quoted, with_text
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import (
    WRONG_INPUT,
    UserError,
    disk_error_behind,
    one_line,
    print_problems,
)
from mandseg.system.instantiation import hydra_options
from mandseg.system.names import with_home_in_setting
from mandseg.system.signals import TRY_AGAIN, Interrupted

log = logging.getLogger(__name__)

EXIT_CODES = {"done": 0, "busy": 0, "failed": 1, "wrong input": WRONG_INPUT}


def main() -> None:
    """Run one condition, or with ``-m`` a grid of them.

    Exit code 0: all done, 1: a run failed, 2: wrong input, 75: interrupted by a signal; the same command continues.
    """
    _share_config_store()
    words = [quoted(with_home_in_setting(word)) for word in sys.argv[1:]]
    sys.argv[1:] = sorted(words, key=is_setting)  # Hydra takes options before settings only
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # raise, so that the message becomes one line here
    states: list[str] = []

    def task(cfg: DictConfig) -> float | None:
        """Hydra's job; a search (hydra/sweeper=optuna) gets the validation Dice."""
        runtime = HydraConfig.get().runtime
        with contextlib.chdir(runtime.cwd):  # paths are relative to the start folder, also with hydra.job.chdir
            states.append(attempt_run(with_text(cfg)))
        return RunFolder(Path(runtime.output_dir)).validation_dice()

    try:
        refuse_options(sys.argv[1:])
        hydra.main(config_path=str(config_folder()), config_name="train", **hydra_options())(task)()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print_problems(error if isinstance(error, UserError) else in_plain_words(error))
        sys.exit(WRONG_INPUT)
    except (yaml.YAMLError, UnicodeDecodeError) as error:  # a config file of the user
        print_problems(UserError(f"a config file cannot be read: {one_line(error)}"))
        sys.exit(WRONG_INPUT)
    except Exception as error:
        known = disk_error_behind(error) or (error if _is_of_hydra(error) else None)
        if known is None:
            raise
        print_problems(UserError(one_line(known)))
        sys.exit(EXIT_CODES["failed"] if isinstance(known, OSError) else WRONG_INPUT)
    except Interrupted as interrupted:
        log.warning("%s; the same command continues from here", interrupted)
        sys.exit(TRY_AGAIN)
    sys.exit(max((EXIT_CODES[state] for state in states), default=0))


def _is_of_hydra(error: BaseException) -> bool:
    """Whether Hydra itself raised an error about the words of the command line, such as ``=1`` or ``seed=range(0)``."""
    at = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    is_of_hydra = str(at).partition(".")[0] in ("hydra", "omegaconf")
    return is_of_hydra and isinstance(error, ValueError | TypeError | KeyError)


def _share_config_store() -> None:
    """Let Hydra's copies of its sources share the store of structured configs, which they only read.

    Hydra copies its sources with all stored configs for every group that ``--help`` lists: two thirds of its time.
    """
    store: Any = ConfigStore.instance()
    store.__deepcopy__ = lambda memo: store


if __name__ == "__main__":
    main()
