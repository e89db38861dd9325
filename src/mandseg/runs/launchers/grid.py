"""A launch: checks the grid and lists it in grid.csv before its first job, and sets the exit code at its end."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import HydraContext
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mandseg.runs.ddp.devices import process_rank, refuse_missing_gpus
from mandseg.runs.grid_file import COLUMNS, add_to_grid, read_grid, remove_from_grid
from mandseg.runs.launchers.cells import Cell, cell_of, changed, compose, expand, study_folder
from mandseg.runs.launchers.manifests import refuse_manifests
from mandseg.runs.launchers.objects import refuse_objects
from mandseg.runs.launchers.slurm_queue import queued_runs
from mandseg.runs.launchers.targets import refuse_targets
from mandseg.runs.replaced import changed_line
from mandseg.runs.settings.hydra_words import in_plain_words
from mandseg.system.errors import WRONG_INPUT, UserError, print_problems


class Launch(Callback):
    """Before a launch: list its runs and refuse wrong ones. After it: print the study's state and set the exit code.

    Attributes:
        cells: The runs of this launch; empty if a search chooses them one by one.
    """

    def __init__(self) -> None:
        self.cells: list[Cell] = []

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """List a single run as a grid of one."""
        with wrong_input_ends():
            self.cells = [cell_of(config, config.hydra.overrides.task)]
            list_cells(self.cells)

    def on_run_end(self, config: DictConfig, **_: Any) -> None:
        """Print where the result of a single run is, and what comes next if no run of its study is left."""
        from mandseg.runs.folder import RunFolder
        from mandseg.runs.status import next_step

        for cell in self.cells if process_rank().rank == 0 else []:
            if RunFolder(cell.folder).state().state == "done":
                print(f"done: {cell.folder}")
                print(next_step(cell.study))

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """List a run that another sweeper than CheckedGrid has chosen."""
        if not self.cells:
            # with hydra.job.chdir, the job's folder is the current folder already
            with wrong_input_ends(), contextlib.chdir(config.hydra.runtime.cwd):
                list_cells([cell_of(config, config.hydra.overrides.task)])

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print the state of the study; exit with 2 or 1 if a run of this launch failed or is missing."""
        if is_detached(config) or sys.exc_info()[1] is not None:  # Hydra 1.4 also calls it then
            return
        from mandseg.runs.status import next_step, status
        from mandseg.tracking.tracker import sync_hint

        codes = []
        for study in dict.fromkeys(cell.study for cell in self.cells) or [study_folder(config)]:
            codes.append(status(study))
            if hint := sync_hint(study):
                print(f"recorded for W&B; to send it: {hint}")
            print(next_step(study))
        if code := exit_code(self.cells) if self.cells else max(codes):
            sys.exit(code)


@contextlib.contextmanager
def wrong_input_ends() -> Iterator[None]:
    """End the launch with a line and exit code 2. Hydra would turn the exception of a callback into a warning."""
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print_problems(error if isinstance(error, UserError) else in_plain_words(error))
        sys.exit(WRONG_INPUT)


def check_grid(config: DictConfig, context: HydraContext, words: Sequence[str]) -> tuple[list[Cell], list[Cell]]:
    """Compose and check every cell of a grid, list them, and give them to the launch's callback.

    Args:
        config: The composed config of the launch.
        context: Hydra's context of the launch.
        words: The overrides of the launch, including axes.

    Returns:
        All cells, and those that were not listed before.

    Raises:
        UserError: One of the cells is wrong; nothing was written.
    """
    cells = compose(config, expand(words))
    new = list_cells(cells, is_on_cluster(config))
    for callback in context.callbacks.callbacks:
        if isinstance(callback, Launch):
            callback.cells = cells
    return cells, new


@contextlib.contextmanager
def withdrawn_if_refused(cells: Sequence[Cell]) -> Iterator[None]:
    """Take cells out of grid.csv again if the launcher refuses them: those without a run folder and without a job."""
    try:
        yield
    except UserError:
        for study in dict.fromkeys(cell.study for cell in cells):
            own, queued = [cell for cell in cells if cell.study == study], queued_runs(study)
            remove_from_grid(study, {cell.run for cell in own if cell.run not in queued and not cell.folder.exists()})
        raise


def list_cells(cells: Sequence[Cell], is_elsewhere: bool = False) -> list[Cell]:
    """Add cells to the grid.csv of their studies.

    Args:
        cells: The cells.
        is_elsewhere: Whether they run on machines that may see other files than this one.

    Returns:
        The cells that were not listed before.

    Raises:
        UserError: A new cell cannot start with its manifests, targets, objects or GPUs, or a done run was made of other
            images or labels; nothing was listed.
    """
    refuse_changed(cells)
    listed = {study: {row["run"] for row in read_grid(study)} for study in {cell.study for cell in cells}}
    new = [cell for cell in cells if cell.run not in listed[cell.study]]
    configs = [cell.cfg for cell in new]
    refuse_targets(configs)
    refuse_objects(configs)
    refuse_manifests(configs, is_elsewhere)
    if not is_elsewhere:
        for cfg in configs:
            refuse_missing_gpus(cfg.trainer)
    for study in dict.fromkeys(cell.study for cell in cells):
        add_to_grid(study, [grid_row(cell) for cell in cells if cell.study == study])
    return new


def grid_row(cell: Cell) -> dict[str, str]:
    """The row of a cell in grid.csv."""
    columns = {"run": cell.run, **cell.condition, "overrides": " ".join(cell.overrides)}
    return {name: str(columns[name]) for name in COLUMNS}


def refuse_changed(cells: Sequence[Cell]) -> None:
    """Refuse a launch that contains done runs whose images or labels have changed, unless it repeats them.

    Raises:
        UserError: A line for each such run.
    """
    found = changed([cell for cell in cells if not cell.cfg.rerun])
    if found:
        raise UserError([changed_line(folder.name, differing) for folder, differing in found.items()])


def is_on_cluster(config: DictConfig) -> bool:
    """Whether the launcher submits its jobs to a cluster."""
    return "timeout_min" in config.hydra.launcher


def is_detached(config: DictConfig) -> bool:
    """Whether the launcher submits its jobs to a queue and does not wait for them."""
    return "wait" in config.hydra.launcher and not config.hydra.launcher.wait


def exit_code(cells: Sequence[Cell]) -> int:
    """0 if every run is done or in work by another launch, 2 if one was refused for wrong input, else 1."""
    from mandseg.runs.folder import RunFolder

    found = [RunFolder(cell.folder).state() for cell in cells]
    if any(state == "failed" and record is not None and record.wrong_input for state, _, record in found):
        return 2
    return int(any(state not in ("done", "running") for state, _, _ in found))
