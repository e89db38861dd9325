"""A run's learning curve as one CSV file that survives kills and resumes: one row per step, columns as they come."""

import csv
import io
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from mandseg.system.files import write_csv

STEP = "step"


class LearningCurve(Logger):
    """Lightning logger that keeps ``learning_curve.csv``; Lightning's CSVLogger starts a new folder at every resume.

    A new step is appended and flushed to disk at once. Whatever cannot be appended (a step seen before, as after a
    resume from an earlier checkpoint; a new column; the first step of a process) rewrites the file, whole or not at
    all. A step logged again takes the new values and keeps those of its old ones that did not come again. Values are
    written in full precision.

    Args:
        path: The CSV file; rows that a former process left there are kept, a last line cut short is dropped.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.columns, self.rows = _read(path)
        self._ends_cleanly = False  # the file may end in a line that a kill cut short: the first write rewrites it

    @property
    def name(self) -> str:
        """The file's name; Lightning asks every logger for one."""
        return self.path.stem

    @property
    def version(self) -> str:
        """Nothing: there is one curve per run folder."""
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
        """Keep nothing: the run folder holds the settings already."""

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
    if not path.is_file():
        return [], {}
    whole_lines = path.read_text(encoding="utf-8").rpartition("\n")[0]
    if not whole_lines:
        return [], {}
    header, *lines = csv.reader(io.StringIO(whole_lines))
    rows = {int(step): dict(zip(header[1:], cells, strict=True)) for step, *cells in lines}
    return header[1:], {step: {name: cell for name, cell in row.items() if cell} for step, row in rows.items()}
