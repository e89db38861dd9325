"""Hydra callback round a launch: the grid is checked and listed before its first job, and told how it ended."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mandseg.runs.grid_file import add_to_grid, grid_row
from mandseg.runs.launchers.cells import Cell, cell_of, changed, compose, expand, study_folder
from mandseg.runs.replaced import changed_line
from mandseg.system.errors import UserError, one_line, print_problems, user_error_behind


class Launch(Callback):
    """Before: expand the grid, refuse what is wrong with any cell, list it. After: the table and the exit code."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """List a single run as a grid of one."""
        self._start(lambda: [cell_of(config, config.hydra.overrides.task)])

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """List every cell of the grid."""
        self._start(lambda: compose(config, expand(config)))
        if self.cells:
            config.hydra.sweeper._target_ = "hydra_plugins.mandseg_launchers.CheckedGrid"

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """List a run that another sweeper than Hydra's own came upon."""
        if not self.cells:
            cell = cell_of(config, config.hydra.overrides.task)
            add_to_grid(cell.study, [grid_row(cell)])

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print how the study stands; exit with 2 or 1 if a run of this launch failed or is not there."""
        if is_detached(config):
            return
        from mandseg.runs.status import status
        from mandseg.tracking.tracker import sync_hint

        codes = []
        for study in dict.fromkeys(cell.study for cell in self.cells) or [study_folder(config)]:
            codes.append(status(study))
            if hint := sync_hint(study):
                print(hint)
        if code := exit_code(self.cells) if self.cells else max(codes):
            sys.exit(code)

    def _start(self, compose_cells: Callable[[], list[Cell]]) -> None:
        try:
            self.cells = compose_cells()
            refuse_changed(self.cells)
            rows = [(cell.study, grid_row(cell)) for cell in self.cells]
            for study in dict.fromkeys(study for study, _ in rows):
                add_to_grid(study, [row for of, row in rows if of == study])
        except (UserError, HydraException, OmegaConfBaseException) as error:
            # Hydra turns an exception of a callback into a warning and goes on; only an exit ends the launch.
            print_problems(user_error_behind(error) or UserError(one_line(error)))
            sys.exit(2)


def refuse_changed(cells: Sequence[Cell]) -> None:
    """Refuse a launch that contains done runs whose images or labels changed since, unless it makes them anew.

    Raises:
        UserError: A line for each such run.
    """
    found = changed([cell for cell in cells if not cell.cfg.rerun])
    if found:
        raise UserError([changed_line(folder.name, differing) for folder, differing in found.items()])


def is_detached(config: DictConfig) -> bool:
    """Whether the launcher leaves its jobs to a queue and does not wait for them."""
    return "wait" in config.hydra.launcher and not config.hydra.launcher.wait


def exit_code(cells: Sequence[Cell]) -> int:
    """0 if every run is done or another launch is working on it, 2 if one was refused for wrong input, else 1."""
    from mandseg.runs.folder import read_state

    found = [read_state(cell.folder) for cell in cells]
    if any(state == "failed" and record.get("wrong_input") for state, _, record in found):
        return 2
    return int(any(state not in ("done", "running") for state, _, _ in found))
