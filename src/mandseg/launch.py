"""Hydra callback round a launch: the grid is checked and listed before its first job, and told how it ended."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mandseg.claim import read_record
from mandseg.condition import condition, run_name
from mandseg.errors import UserError, one_line, print_problems, user_error_behind
from mandseg.files import write_text
from mandseg.lock import held

GRID = "grid.csv"
COLUMNS = ("run", "noise_ratio", "seed", "data", "noise", "model", "method", "overrides")


class Launch(Callback):
    """Before: expand the grid, refuse what is wrong with any cell, list it. After: the table and the exit code."""

    def __init__(self) -> None:
        self.runs: dict[Path, list[str]] = {}

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """List a single run as a grid of one."""
        self._start(config, [list(config.hydra.overrides.task)])

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """List every cell of the grid."""
        self._start(config, expand(config))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print how the study stands; exit with 2 or 1 if a run of this launch failed."""
        from mandseg.study import status
        from mandseg.tracking import sync_hint

        for study in self.runs or [study_folder(config)]:
            status(study)
            if hint := sync_hint(study):
                print(hint)
        if code := max((exit_code(study, runs) for study, runs in self.runs.items()), default=0):
            sys.exit(code)

    def _start(self, config: DictConfig, cells: Sequence[Sequence[str]]) -> None:
        loader = GlobalHydra.instance().config_loader()
        try:
            composed = [loader.load_sweep_config(config, list(cell)) for cell in cells]
            rows = [(study_folder(cfg), grid_row(cfg, cell)) for cfg, cell in zip(composed, cells, strict=True)]
            for study in dict.fromkeys(study for study, _ in rows):
                self.runs[study] = [row["run"] for of, row in rows if of == study]
                add_to_grid(study, [row for of, row in rows if of == study])
        except (UserError, HydraException, OmegaConfBaseException) as error:
            # Hydra turns an exception of a callback into a warning and goes on; only an exit ends the launch.
            print_problems(user_error_behind(error) or UserError(one_line(error)))
            sys.exit(2)


def expand(config: DictConfig) -> list[list[str]]:
    """The overrides of each cell of a grid; none where another sweeper than Hydra's own decides as it goes."""
    if not config.hydra.sweeper._target_.endswith("BasicSweeper"):
        return []
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides(params + list(config.hydra.overrides.task))
    return [cell for batch in BasicSweeper.split_arguments(overrides, None) for cell in batch]


def grid_row(cfg: DictConfig, overrides: Sequence[str]) -> dict[str, str]:
    """One row of grid.csv."""
    columns = {"run": run_name(cfg), **condition(cfg), "overrides": " ".join(overrides)}
    return {name: str(columns[name]) for name in COLUMNS}


def add_to_grid(study: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Add expected runs to the study's grid.csv, each once."""
    try:
        study.mkdir(parents=True, exist_ok=True)
        _add_rows(study, rows)
    except OSError as error:
        raise UserError(f"{study}: cannot be written ({error.strerror})") from error


def _add_rows(study: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with held(study / f".{GRID}.lease"):
        file = study / GRID
        known = list(csv.DictReader(file.open())) if file.exists() else []
        listed = {row["run"] for row in known}
        new = [row for row in rows if row["run"] not in listed]
        if new:
            text = io.StringIO()
            writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows([*known, *{row["run"]: row for row in new}.values()])
            write_text(file, text.getvalue())


def study_folder(config: DictConfig) -> Path:
    """<output_dir>/<study>."""
    return Path(str(config.output_dir)) / str(config.study)


def exit_code(study: Path, runs: Sequence[str]) -> int:
    """0 if no run failed, 2 if one was refused for wrong input, 1 if one failed otherwise."""
    records = [read_record(study / run) for run in runs]
    if any(record.get("state") == "failed" and record.get("wrong_input") for record in records):
        return 2
    return int(any(record.get("state") == "failed" for record in records))
