"""The time, disk and memory of a grid, from two short runs of its first cell with the training command itself."""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mandseg.runs.condition import condition
from mandseg.runs.folder import RunFolder
from mandseg.runs.launchers.cells import expand
from mandseg.runs.record import RunRecord
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError, one_line, user_error_behind

SHORT, LONG = 4, 16  # steps of the two runs; their difference is the time of the steps alone
OF_A_TRIAL = ("tracking=none", "validations=1", "hydra/launcher=basic", "trainer.enable_progress_bar=false")
KILOBYTE = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there


@dataclass(frozen=True)
class Estimate:
    """The measured cost of one run of a grid.

    Attributes:
        cells: Number of runs of the grid.
        steps, validations: Those of a run.
        step_s: Seconds of a training step with its data.
        validation_s: Seconds of a validation with the measurements of memorisation, at most.
        evaluate_s: Seconds of the test on all data sets.
        start_s: Seconds of the preparation with a full cache.
        run_bytes: Size of a run folder.
        peak_bytes: The largest memory of the process.
    """

    cells: int
    steps: int
    validations: int
    step_s: float
    validation_s: float
    evaluate_s: float
    start_s: float
    run_bytes: int
    peak_bytes: int

    @property
    def run_s(self) -> float:
        """Seconds of one run."""
        return self.start_s + self.steps * self.step_s + self.validations * self.validation_s + self.evaluate_s


def estimate(words: Sequence[str], config_name: str = "train") -> Estimate:
    """Measure the first cell of a grid.

    Args:
        words: The overrides of ``mandseg train -m``.
        config_name: A file of conf/ or sweeps/.

    Raises:
        UserError: A setting is refused, or the short runs failed.
    """
    cells, cfg = _composed(words, config_name)
    with tempfile.TemporaryDirectory(prefix="mandseg-estimate-") as folder:
        _train(cells[0], config_name, Path(folder))
        short, long = (_run_of(Path(folder), steps) for steps in (SHORT, LONG))
        size = sum(file.stat().st_size for file in long[0].rglob("*") if file.is_file())
    return _estimated(len(cells), cfg, short[1], long[1], size)


def _composed(words: Sequence[str], config_name: str) -> tuple[list[list[str]], DictConfig]:
    """The overrides of each cell, and the config of the first one; the first and the last one are checked."""
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            cells = expand(words)
            first, last = (hydra_compose(config_name, cell) for cell in (cells[0], cells[-1]))
    except (HydraException, OmegaConfBaseException) as error:
        raise user_error_behind(error) or UserError(one_line(error)) from error
    condition(last)
    condition(first)
    return cells, first


def _train(cell: Sequence[str], config_name: str, folder: Path) -> None:
    """Run the cell with few and with more steps, one after the other in one process."""
    own = [word for word in cell if not word.startswith(("steps=", "validations=", "study=", "output_dir="))]
    command = [sys.executable, "-m", "mandseg.train", "--config-name", config_name, "-m", *own, *OF_A_TRIAL]
    command += [f"steps={SHORT},{LONG}", "study=estimate", f"output_dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise UserError(f"the short run of {' '.join(cell) or 'the defaults'} failed: {lines[-1]}")


def _run_of(folder: Path, steps: int) -> tuple[Path, RunRecord]:
    for file in sorted((folder / "estimate").glob("*/run.json")):
        record = RunFolder(file.parent).record()
        if record is not None and record.steps == steps:
            return file.parent, record
    raise UserError(f"the short run of {steps} steps left no record")


def _estimated(cells: int, cfg: DictConfig, short: RunRecord, long: RunRecord, size: int) -> Estimate:
    first, second = short.cost(), long.cost()
    step_s = max(second["train_s"] - first["train_s"], 0.0) / (LONG - SHORT)
    return Estimate(
        cells=cells,
        steps=int(cfg.steps),
        validations=int(cfg.validations),
        step_s=step_s,
        validation_s=max(first["train_s"] - SHORT * step_s, 0.0),
        evaluate_s=second["evaluate_s"],
        start_s=second["prepare_s"],
        run_bytes=size,
        peak_bytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * KILOBYTE,
    )


def as_json(found: Estimate) -> str:
    """The estimate as one line of JSON, for scripts."""
    return json.dumps(vars(found) | {"run_s": round(found.run_s, 2)})
