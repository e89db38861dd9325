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
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mandseg.claim import BusyError, Claim, Follower, claimed, is_follower, now, read_record
from mandseg.condition import condition, evaluation_hash
from mandseg.config_folder import config_folder, sweeps_folder
from mandseg.errors import UserError, one_line, print_problems, user_error_behind

log = logging.getLogger(__name__)

WRONG_INPUT = 2  # exit code
EXIT_CODES = {"done": 0, "busy": 0, "failed": 1, "wrong input": WRONG_INPUT}


def main() -> None:
    """Run one condition, or with ``-m`` a grid of them; exit code 0: all done, 1: a run failed, 2: wrong input."""
    # Hydra wants plus signs for keys that no config file names: data sets of the user's own names, and margins.
    sys.argv[1:] = [f"++{word}" if word.startswith(("eval.", "analysis.margins.")) else word for word in sys.argv[1:]]
    if not {"--config-dir", "-cd"} & set(sys.argv):
        sys.argv[1:1] = ["--config-dir", str(sweeps_folder())]
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # raise, so that the message can be made one line here
    states: list[str] = []
    try:
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")(
            lambda cfg: states.append(_job(cfg))
        )()
    except (HydraException, OmegaConfBaseException) as error:
        print_problems(user_error_behind(error) or UserError(one_line(error)))
        sys.exit(WRONG_INPUT)
    sys.exit(max((EXIT_CODES[state] for state in states), default=0))


def _job(cfg: DictConfig) -> str:
    """One run, whatever becomes of it: a failing one is recorded and does not stop the others."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    if is_follower():
        from mandseg.run import run

        run(cfg, Follower(folder, read_record(folder) | {"condition": condition(cfg)}))
        return "done"
    try:
        with claimed(folder, cfg.study, condition(cfg)) as claim:
            if claim.is_done and claim.record.get("evaluated") == evaluation_hash(cfg):
                log.info("%s: done already, nothing to do", folder.name)
                return "done"
            return _run(cfg, claim)
    except BusyError as error:
        log.info("%s; left to it", error)
        return "busy"


def _run(cfg: DictConfig, claim: Claim) -> str:
    from mandseg.run import run  # torch and the rest, which a launch on a cluster need not load

    finished = dict(claim.record) if claim.is_done else {}
    try:
        run(cfg, claim)
    except Exception as error:
        if cfg.debug:
            raise
        wrong = user_error_behind(error)
        if finished and wrong is not None:  # a done run, asked for further data sets that are wrong, stays done
            claim.update(**finished)
            print_problems(wrong)
            return "wrong input"
        if wrong is None:
            log.error("%s failed\n%s", claim.folder.name, traceback.format_exc())
            claim.update(state="failed", wrong_input=False, error=one_line(error), ended=now())
            return "failed"
        print_problems(wrong)
        claim.update(state="failed", wrong_input=True, error=" | ".join(wrong.problems), ended=now())
        return "wrong input"
    claim.update(state="done", wrong_input=False, ended=now(), evaluated=evaluation_hash(cfg))
    return "done"


if __name__ == "__main__":
    main()
