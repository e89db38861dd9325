"""Hydra callback round a launch: the grid is checked and listed before its first job, and told how it ended."""

import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mandseg.runs.launchers.cells import Cell, cell_of, compose, expand, study_folder
from mandseg.system.errors import UserError, one_line, print_problems, user_error_behind
from mandseg.system.files import write_text
from mandseg.system.lock import held

GRID = "grid.csv"
COLUMNS = ("run", "noise_ratio", "seed", "data", "noise", "model", "method", "overrides")


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
        from mandseg.runs.study import status
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
            rows = [(cell.study, grid_row(cell)) for cell in self.cells]
            for study in dict.fromkeys(study for study, _ in rows):
                add_to_grid(study, [row for of, row in rows if of == study])
        except (UserError, HydraException, OmegaConfBaseException) as error:
            # Hydra turns an exception of a callback into a warning and goes on; only an exit ends the launch.
            print_problems(user_error_behind(error) or UserError(one_line(error)))
            sys.exit(2)


def is_detached(config: DictConfig) -> bool:
    """Whether the launcher leaves its jobs to a queue and does not wait for them."""
    return "wait" in config.hydra.launcher and not config.hydra.launcher.wait


def grid_row(cell: Cell) -> dict[str, str]:
    """One row of grid.csv."""
    columns = {"run": cell.run, **cell.condition, "overrides": " ".join(cell.overrides)}
    return {name: str(columns[name]) for name in COLUMNS}


def add_to_grid(study: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Add expected runs to the study's grid.csv, each once.

    Raises:
        UserError: The study's folder cannot be written.
    """
    try:
        study.mkdir(parents=True, exist_ok=True)
        if not _unlisted(study, rows):  # as for each job of a grid: no lock to wait for
            return
        with held(study / f".{GRID}.lease"):
            known, new = read_grid(study), _unlisted(study, rows)
            text = io.StringIO()
            writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows([*known, *new])
            write_text(study / GRID, text.getvalue())
    except OSError as error:
        raise UserError(f"output_dir={study.parent}: study {study} cannot be written ({error.strerror})") from error


def _unlisted(study: Path, rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    listed = {row["run"] for row in read_grid(study)}
    return list({row["run"]: row for row in rows if row["run"] not in listed}.values())


def read_grid(study: Path) -> list[dict[str, str]]:
    """The rows of grid.csv; none where there is no such file."""
    try:
        with (study / GRID).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def exit_code(cells: Sequence[Cell]) -> int:
    """0 if every run is done or another launch is working on it, 2 if one was refused for wrong input, else 1."""
    from mandseg.runs.folder import read_state

    found = [read_state(cell.folder) for cell in cells]
    if any(state == "failed" and record.get("wrong_input") for state, _, record in found):
        return 2
    return int(any(state not in ("done", "running") for state, _, _ in found))
