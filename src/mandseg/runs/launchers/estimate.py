"""The time, disk and memory of a grid, from short runs of its first cell with the training command itself."""

import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mandseg.runs.folder import RunFolder
from mandseg.runs.launchers.cells import Cell, command, compose, expand, words_of_grid
from mandseg.runs.record import RunRecord
from mandseg.runs.settings.hydra_words import in_plain_words
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError

FEWEST = 4  # steps of a short run
LONGER = 4  # the longer run has so many times the steps; the difference is the time of the steps alone
OF_A_TRIAL = ("tracking=none", "validations=1", "trainer.enable_progress_bar=false", "study=estimate")
CHANGED = (
    "steps",
    "validations",
    "memorisation",
    "dynamics",
    "study",
    "output_dir",
    "tracking",
    "trainer.enable_progress_bar",
)
KILOBYTE = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there


@dataclass(frozen=True)
class Estimate:
    """The measured cost of one run of a grid.

    Attributes:
        cells: Number of runs of the grid.
        steps, validations, measurements: Those of a run; measurements are those of memorisation.
        step_s: Seconds of a training step with its data.
        validation_s: Seconds of a validation, at most.
        measurement_s: Seconds of a measurement of memorisation; 0 if the runs measure none.
        relabel_s: Seconds in which the labels of later stages are made.
        evaluate_s: Seconds of the test on all data sets.
        start_s: Seconds of the preparation with a full cache.
        run_bytes: Size of a run folder.
        peak_bytes: The largest memory of the process.
    """

    cells: int
    steps: int
    validations: int
    measurements: int
    step_s: float
    validation_s: float
    measurement_s: float
    relabel_s: float
    evaluate_s: float
    start_s: float
    run_bytes: int
    peak_bytes: int

    @property
    def run_s(self) -> float:
        """Seconds of one run."""
        training_s = self.steps * self.step_s + self.validations * self.validation_s
        measuring_s = self.measurements * self.measurement_s
        return self.start_s + training_s + measuring_s + self.relabel_s + self.evaluate_s


@dataclass(frozen=True)
class Trial:
    """What a short run left: its record, its size in bytes, and the largest memory of the process in bytes."""

    record: RunRecord
    size: int
    peak_bytes: int

    def seconds(self, part: str) -> float:
        """Seconds of all phases of a part: ``train`` or ``relabel``."""
        return sum(s for name, s in (self.record.seconds or {}).items() if name.partition("/")[0] == part)


def estimate(words: Sequence[str], config_name: str = "train") -> Estimate:
    """Measure the first cell of a grid.

    Args:
        words: The overrides of ``mandseg train -m``.
        config_name: A file of conf/ or sweeps/; its own axes count.

    Raises:
        UserError: A setting is refused, or the short runs failed.
    """
    config, cells = _composed(words, config_name)
    cfg = cells[0].cfg
    shortest = max(FEWEST, *(math.ceil(1 / stage.share) for stage in cfg.method.stages))
    measurements = min(int(cfg.memorisation), int(cfg.steps))
    short, long = (_train(config, cells[0], steps, 0) for steps in (shortest, LONGER * shortest))
    measured = _train(config, cells[0], shortest, 1) if measurements else short
    step_s = max(long.seconds("train") - short.seconds("train"), 0.0) / ((LONGER - 1) * shortest)
    stages = len(cfg.method.stages)  # each ends with a validation
    return Estimate(
        cells=len(cells),
        steps=int(cfg.steps),
        validations=max(int(cfg.validations), stages),
        measurements=measurements,
        step_s=step_s,
        validation_s=max(short.seconds("train") - shortest * step_s, 0.0) / stages,
        measurement_s=max(measured.seconds("train") - short.seconds("train"), 0.0),
        relabel_s=long.seconds("relabel"),
        evaluate_s=long.seconds("evaluate"),
        start_s=long.seconds("prepare"),
        run_bytes=long.size,
        peak_bytes=max(short.peak_bytes, long.peak_bytes, measured.peak_bytes),
    )


def _composed(words: Sequence[str], config_name: str) -> tuple[DictConfig, list[Cell]]:
    """The config of the launch and its cells, as the training command composes and checks them."""
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            config = loader.load_configuration(config_name, list(words), run_mode=RunMode.MULTIRUN)
            sweeper = str(config.hydra.sweeper.get("_target_", ""))
            if not sweeper.endswith(".CheckedGrid"):
                raise UserError(
                    f"hydra.sweeper._target_={sweeper}: a search chooses its runs while it runs; estimate one"
                )
            params = config.hydra.sweeper.params or {}
            return config, compose(config, expand(words_of_grid(params, config.hydra.overrides.task)))
    except (HydraException, OmegaConfBaseException) as error:
        raise in_plain_words(error) from error


def _train(config: DictConfig, cell: Cell, steps: int, measurements: int) -> Trial:
    """Run the cell alone with few steps, in a process and a folder of its own; the folder is removed.

    Raises:
        UserError: The run failed; the line is its own.
    """
    kept = [word for word in cell.overrides if not _is_changed(word.lstrip("+~").partition("=")[0])]
    with tempfile.TemporaryDirectory(prefix="mandseg-estimate-") as folder:
        own = [*OF_A_TRIAL, f"steps={steps}", f"memorisation={measurements}", f"output_dir={folder}"]
        words = [*command(config, Cell(tuple(kept), cell.cfg, cell.study, cell.condition)), *own]
        done = subprocess.run(words, capture_output=True, text=True)
        records = sorted(Path(folder).glob("estimate/*/run.json"))
        record = RunFolder(records[0].parent).record() if records else None
        if done.returncode or record is None:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
            what = " ".join(cell.overrides) or "the defaults"
            raise UserError(f"the short run of {what} failed: {lines[-1].removeprefix('mandseg: ')}")
        size = sum(file.stat().st_size for file in records[0].parent.rglob("*") if file.is_file())
    return Trial(record, size, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * KILOBYTE)


def _is_changed(key: str) -> bool:
    """Whether a short run has a value of its own for a setting."""
    return key in CHANGED or key.startswith("tracking.")


def as_json(found: Estimate) -> str:
    """The estimate as one line of JSON, for scripts."""
    return json.dumps(vars(found) | {"run_s": round(found.run_s, 2)})
