"""A run's learning curve as one CSV file, one row per step. Kills and resumes do not damage it."""

import csv
import io
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from mandseg.system.errors import UserError, one_line
from mandseg.system.files import write_csv

STEP = "step"


class LearningCurve(Logger):
    """Lightning logger that keeps ``learning_curve.csv``; Lightning's CSVLogger starts a new folder at every resume.

    A new step is appended and flushed to disk at once. In three cases the file is rewritten, completely or not at all:
    a step that it contains already (after a resume from an earlier checkpoint), a new column, the first step of a
    process. A step that is logged again gets the new values and keeps its other old values. Values are written in full
    precision.

    Args:
        path: The CSV file. Rows of a former process are kept; an incomplete last line is dropped.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.columns, self.rows = _read(path)
        self._ends_cleanly = False  # the last line may be incomplete after a kill: the first write rewrites the file

    @property
    def name(self) -> str:
        """The file's name; Lightning needs a name of every logger."""
        return self.path.stem

    @property
    def version(self) -> str:
        """No version: a run folder has one curve."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add values to a step's row (the last one, if no step is given)."""
        key = max(self.rows, default=0) if step is None else step
        if self._ends_cleanly and key > max(self.rows, default=-1) and set(metrics) <= set(self.columns):
            self._merge(key, metrics)
            self._append(key)
            return
        self.columns, self.rows = _read(self.path)  # a forked process of the same run may have added rows
        self._merge(key, metrics)
        write_csv(self.path, [STEP, *self.columns], (self._cells(s) for s in sorted(self.rows)))
        self._ends_cleanly = True

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Write nothing: the run folder contains the settings already."""

    def _merge(self, step: int, metrics: Mapping[str, float]) -> None:
        self.columns += [name for name in metrics if name not in self.columns]
        self.rows.setdefault(step, {}).update({name: repr(float(value)) for name, value in metrics.items()})

    def _append(self, step: int) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(self._cells(step))
            file.flush()
            os.fsync(file.fileno())

    def _cells(self, step: int) -> list[str]:
        return [str(step), *(self.rows[step].get(name, "") for name in self.columns)]


def _read(path: Path) -> tuple[list[str], dict[int, dict[str, str]]]:
    """The columns of a curve, and the filled cells of each step.

    Raises:
        UserError: The file is no learning curve; the line names it.
    """
    if not path.is_file():
        return [], {}
    try:
        whole_lines = path.read_text(encoding="utf-8").rpartition("\n")[0]
        if not whole_lines:
            return [], {}
        header, *lines = csv.reader(io.StringIO(whole_lines))
        rows = {int(step): dict(zip(header[1:], cells, strict=True)) for step, *cells in lines}
    except (csv.Error, ValueError) as error:
        raise UserError(f"{path}: not a learning curve ({one_line(error)}); move it away, the run goes on") from error
    return header[1:], {step: {name: cell for name, cell in row.items() if cell} for step, row in rows.items()}
