"""The command that everyone types: ``python -m mandseg.train -m noise_ratio=0,0.2,0.5,1.0``.

Hydra composes a config for each cell of the grid; each becomes one run folder, whose name is its condition.
"""

import logging
import os
import sys
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mandseg.claim import Claim, claimed, now
from mandseg.condition import condition, register_resolver
from mandseg.config_folder import config_folder
from mandseg.errors import UserError, print_problems

log = logging.getLogger(__name__)

DONE, FAILED, WRONG_INPUT, BUSY = "done", "failed", "wrong input", "busy"
EXIT_CODES = {DONE: 0, FAILED: 1, WRONG_INPUT: 2, BUSY: 1}


def main() -> None:
    """Run one condition, or with ``-m`` a grid of them; 0: all done, 1: a run failed, 2: wrong input."""
    register_resolver()
    # Hydra wants a plus sign for keys that no config file names; the names of data sets are the user's own.
    sys.argv[1:] = [f"++{word}" if word.startswith("eval.") else word for word in sys.argv[1:]]
    try:
        states = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")(_job)()
    except SystemExit as stop:
        # Hydra ends with 1 when a config cannot be composed: an unknown key, a choice that does not exist.
        sys.exit(2 if stop.code == 1 and not _started else stop.code)
    del states
    sys.exit(_exit_code())


_started: list[str] = []


def _exit_code() -> int:
    return max((EXIT_CODES[state] for state in _started), default=0)


def _job(cfg: DictConfig) -> str:
    """One run, whatever becomes of it: a failing one is recorded and does not stop the others."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    state = _run_once(cfg, folder)
    _started.append(state)
    return state


def _run_once(cfg: DictConfig, folder: Path) -> str:
    try:
        with claimed(folder, cfg.study, condition(cfg)) as claim:
            if claim.is_done:
                log.info("%s: done already", folder.name)
                return DONE
            return _run_recorded(cfg, claim)
    except UserError as error:
        print_problems(error)
        return BUSY


def _run_recorded(cfg: DictConfig, claim: Claim) -> str:
    from mandseg.run import run  # torch and the rest, which a launch on a cluster need not load

    try:
        run(cfg, claim)
    except UserError as error:
        print_problems(error)
        claim.update(state="failed", wrong_input=True, error=" | ".join(error.problems), ended=now())
        return WRONG_INPUT
    except Exception as error:
        log.error("%s", traceback.format_exc())
        claim.update(state="failed", wrong_input=False, error=f"{type(error).__name__}: {error}", ended=now())
        return FAILED
    claim.update(state="done", wrong_input=False, ended=now())
    return DONE


if __name__ == "__main__":
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    main()
