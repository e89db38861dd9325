"""One attempt at one run, whatever becomes of it."""

import gc
import logging
import traceback
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mandseg.runs.claim import BusyError, Claim, Follower, LostError, claimed, read_record
from mandseg.runs.condition import condition, evaluation_hash
from mandseg.runs.devices import Place, announce, is_run, place, processes_wanted, refuse_wrong_number
from mandseg.runs.folder import count_rows, is_done
from mandseg.runs.local_ddp import start_ranks
from mandseg.runs.provenance import now
from mandseg.runs.replaced import outdated
from mandseg.system.errors import RunFailedError, UserError, print_problems, reason, user_error_behind
from mandseg.system.signals import Interruption, interruptible

log = logging.getLogger(__name__)


def _job(cfg: DictConfig) -> str:
    """One run, whatever becomes of it: a failing one is recorded and does not stop the others."""
    folder, here = Path(HydraConfig.get().runtime.output_dir), place()
    with interruptible() as interruption:
        if here.rank > 0:
            return _follow(cfg, folder, here, interruption)
        try:
            with claimed(folder, cfg.study, condition(cfg)) as claim:
                if line := outdated(cfg, claim):
                    print_problems(UserError(line))
                    return _told(folder, here, "wrong input")
                if is_done(folder, claim.record, evaluation_hash(cfg)):
                    log.info("%s: done already, nothing to do", folder.name)
                    return _told(folder, here, "done")
                return _run(cfg, claim, here, interruption)
        except BusyError as error:
            log.info("%s; left to it", error)
            return _told(folder, here, "busy")
        except LostError as error:
            log.error("%s; left to it", error)
            return "busy"
        except UserError as error:  # the folder cannot be written
            print_problems(error)
            return "wrong input"


def _told(folder: Path, here: Place, state: str) -> str:
    """Tell the run's other processes that there is nothing to do."""
    if here.size > 1:
        announce(folder, here.launch, runs=False)
    return state


def _follow(cfg: DictConfig, folder: Path, here: Place, interruption: Interruption) -> str:
    """Do what the run's first process does: run or leave the run."""
    if not is_run(folder, here.launch):
        return "done"
    from mandseg.runs.run import run

    run(cfg, Follower(folder, read_record(folder) | {"condition": condition(cfg)}), interruption)
    return "done"


def _run(cfg: DictConfig, claim: Claim, here: Place, interruption: Interruption) -> str:
    finished = dict(claim.record) if claim.is_done else {}
    try:
        _in_its_processes(cfg, claim, here, interruption)
    except LostError:
        raise
    except Exception as error:
        if cfg.debug:
            raise
        wrong = user_error_behind(error)
        if finished and wrong is not None:  # a done run, asked for further data sets that are wrong, stays done
            claim.update(**finished)
            print_problems(wrong)
            return "wrong input"
        if wrong is None:
            told = str(error) if isinstance(error, RunFailedError) else f"\n{traceback.format_exc()}"
            log.error("%s failed: %s", claim.folder.name, told)
            claim.update(state="failed", wrong_input=False, error=reason(error), ended=now())
            return "failed"
        print_problems(wrong)
        claim.update(state="failed", wrong_input=True, error=" | ".join(wrong.problems), ended=now())
        return "wrong input"
    except BaseException as stop:  # a signal, also one whose owner ends the process
        claim.update(state="interrupted", wrong_input=False, error=str(stop) or type(stop).__name__, ended=now())
        raise
    rows = count_rows(claim.folder)
    claim.update(state="done", wrong_input=False, ended=now(), evaluated=evaluation_hash(cfg), n_rows=rows)
    return "done"


def _in_its_processes(cfg: DictConfig, claim: Claim, here: Place, interruption: Interruption) -> None:
    """In this process, or in one for each device: SLURM or torchrun started them, or they are started now."""
    size = processes_wanted(cfg.trainer)
    refuse_wrong_number(cfg, size, here)
    if here.size == 1 and size > 1:
        start_ranks(cfg, claim, size, interruption)
        return
    if here.size > 1:
        announce(claim.folder, here.launch, runs=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # comes with MONAI where optuna is installed
    from mandseg.runs.run import run  # torch and the rest, which a launch on a cluster need not load

    run(cfg, claim, interruption)
    gc.collect()  # trainer and module know each other: the memory maps of a run would stay open for several more
