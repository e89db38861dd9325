"""One attempt at one run: done, failed, interrupted or left to another process."""

import gc
import logging
import traceback
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mandseg.runs.condition import condition, evaluation_hash
from mandseg.runs.ddp.devices import ProcessRank, announce, is_run, process_rank, processes_wanted, refuse_wrong_number
from mandseg.runs.ddp.local import start_ranks
from mandseg.runs.folder import RunFolder
from mandseg.runs.ownership import LockRemovedError, OwnedRun, OwnershipLostError, ReadOnlyRun, RunInUseError, own_run
from mandseg.runs.provenance import now
from mandseg.runs.replaced import outdated
from mandseg.system.errors import (
    RunFailedError,
    UserError,
    disk_error_behind,
    one_line,
    print_problems,
    reason,
    user_error_behind,
)
from mandseg.system.signals import Interruption, interruptible
from mandseg.training.libraries import import_libraries

log = logging.getLogger(__name__)


def attempt_run(cfg: DictConfig) -> str:
    """Attempt one run. A failure is recorded and does not stop the other runs."""
    folder, process = Path(HydraConfig.get().runtime.output_dir), process_rank()
    with interruptible() as interruption:
        if process.rank > 0:
            return _run_as_follower(cfg, folder, process, interruption)
        try:
            with own_run(folder, cfg.study, condition(cfg)) as owned:
                if line := outdated(cfg, owned):
                    print_problems(UserError(line))
                    return announce_nothing_to_do(folder, process, "wrong input")
                if owned.files.is_done(evaluation_hash(cfg)):
                    log.info("%s: done already, nothing to do", folder.name)
                    return announce_nothing_to_do(folder, process, "done")
                return _run(cfg, owned, process, interruption)
        except RunInUseError as error:
            log.info("%s; left to it", error)
            return announce_nothing_to_do(folder, process, "busy")
        except LockRemovedError as error:
            log.error("%s; it stopped, and the same command continues it", error)
            return "failed"
        except OwnershipLostError as error:
            log.error("%s; left to it", error)
            return "busy"
        except UserError as error:  # the folder cannot be written
            print_problems(error)
            return "wrong input"


def announce_nothing_to_do(folder: Path, process: ProcessRank, state: str) -> str:
    """Announce to the run's other processes that they do not run."""
    if process.size > 1:
        announce(folder, process.launch, runs=False)
    return state


def _run_as_follower(cfg: DictConfig, folder: Path, process: ProcessRank, interruption: Interruption) -> str:
    """Follow the announcement of the run's first process: run or leave the run."""
    if not is_run(folder, process.launch):
        return "done"
    import_libraries()
    from mandseg.runs.run import run

    run(cfg, ReadOnlyRun(folder, RunFolder(folder).facts() | {"condition": condition(cfg)}), interruption)
    return "done"


def _run(cfg: DictConfig, owned: OwnedRun, process: ProcessRank, interruption: Interruption) -> str:
    finished = dict(owned.record) if owned.files.is_done() else {}
    try:
        _run_in_processes(cfg, owned, process, interruption)
        owned.check_complete()
    except OwnershipLostError:
        raise
    except Exception as error:
        if cfg.debug:
            raise
        wrong = user_error_behind(error)
        if finished and wrong is not None:  # a done run stays done if a further data set is wrong
            owned.update(**finished)
            print_problems(wrong)
            return "wrong input"
        if wrong is None:
            known = disk_error_behind(error) or (error if isinstance(error, RunFailedError) else None)
            message = one_line(known) if known else f"\n{traceback.format_exc()}"
            log.error("%s failed: %s", owned.folder.name, message)
            owned.update(state="failed", wrong_input=False, error=reason(known or error), ended=now())
            return "failed"
        print_problems(wrong)
        owned.update(state="failed", wrong_input=True, error=" | ".join(wrong.problems), ended=now())
        return "wrong input"
    except BaseException as stop:  # a signal, or a handler that ends the process
        owned.update(state="interrupted", wrong_input=False, error=str(stop) or type(stop).__name__, ended=now())
        raise
    rows = owned.files.count_rows()
    owned.update(state="done", wrong_input=False, ended=now(), evaluated=evaluation_hash(cfg), n_rows=rows)
    return "done"


def _run_in_processes(cfg: DictConfig, owned: OwnedRun, process: ProcessRank, interruption: Interruption) -> None:
    """Run in this process, or in one process per device: started by SLURM or torchrun, or here."""
    size = processes_wanted(cfg.trainer)
    refuse_wrong_number(cfg, size, process)
    if process.size == 1 and size > 1:
        start_ranks(cfg, owned, size, interruption)
        return
    if process.size > 1:
        announce(owned.folder, process.launch, runs=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # MONAI imports it if optuna is installed
    import_libraries()
    from mandseg.runs.run import run  # imports torch, which a launch on a cluster does not need

    run(cfg, owned, interruption)
    gc.collect()  # trainer and module refer to each other; otherwise memory maps of several runs stay open
