"""One process of a run on several devices: ``python -m mandseg.runs.ddp.worker RUN_FOLDER OUTCOME``.

:mod:`mandseg.runs.ddp.local` starts it. It reads the run's config from the run folder and nothing of a grid. It writes
the reason of a failure to the file OUTCOME.
"""

import json
import logging
import sys
import threading
import traceback
from pathlib import Path

from omegaconf import OmegaConf

from mandseg.runs.ddp.devices import process_rank
from mandseg.runs.ddp.local import die_with_parent
from mandseg.runs.folder import RunFolder
from mandseg.runs.ownership import OwnedRun, ReadOnlyRun
from mandseg.system.errors import reason, user_error_behind
from mandseg.system.files import write_text
from mandseg.system.signals import TRY_AGAIN, Interrupted, interruptible
from mandseg.training.libraries import import_libraries

log = logging.getLogger(__name__)


def main(folder: Path, outcome: Path) -> int:
    """Run this rank's part; exit code 0, 2 (wrong input), 75 (interrupted, with its state saved) or 1."""
    threading.Thread(target=die_with_parent, daemon=True).start()
    rank = process_rank().rank
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, handlers=_handlers(folder, rank))
    cfg = OmegaConf.create(RunFolder(folder).config())
    owned = (OwnedRun if rank == 0 else ReadOnlyRun)(folder, RunFolder(folder).facts())
    try:
        with interruptible() as interruption:
            import_libraries()
            from mandseg.runs.run import run

            run(cfg, owned, interruption)
    except Interrupted:
        return TRY_AGAIN
    except Exception as error:
        wrong = user_error_behind(error)
        if wrong is None or cfg.debug:
            log.error("rank %d failed\n%s", rank, traceback.format_exc())
        lines = wrong.problems if wrong else [reason(error)]
        write_text(outcome, json.dumps({"wrong_input": wrong is not None, "lines": lines}))
        return 2 if wrong else 1
    return 0


def _handlers(folder: Path, rank: int) -> list[logging.Handler]:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if rank == 0:
        handlers.append(logging.FileHandler(RunFolder(folder).log_file))
    return handlers


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
