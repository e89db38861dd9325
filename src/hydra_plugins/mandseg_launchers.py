"""Hydra plugins, which Hydra finds by this file's place: the launchers of conf/hydra/launcher and the grid's sweeper.

Hydra imports this file at every start of any Hydra program, so what the launchers need is imported when they launch.
"""

from collections.abc import Callable, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class CheckedGrid(BasicSweeper):
    """Hydra's own sweeper for a grid whose cells mandseg.runs.launchers.grid has composed and checked already."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose nothing again: it takes most of the time of a large grid."""


class _CellLauncher(Launcher):
    """A launcher that starts each cell of a grid as a command of its own."""

    def __init__(self, **settings: Any) -> None:
        self.settings = {k: OmegaConf.to_object(v) if OmegaConf.is_config(v) else v for k, v in settings.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra knows of the launch."""
        self.context, self.config = hydra_context, config

    def _launch(
        self, start: Callable[..., list[float | None]], settings: Any, job_overrides: Sequence[Sequence[str]]
    ) -> list[JobReturn]:
        """Start the cells; wrong input ends the launch with a line and exit code 2."""
        from mandseg.runs.launchers.cells import cells_of
        from mandseg.system.errors import UserError, print_problems

        try:
            cells = cells_of(self.context, self.config, job_overrides)
            values = start(cells, settings(**self.settings), self.config)
        except UserError as error:
            print_problems(error)
            raise SystemExit(2) from None
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=value) for value in values]


class SlurmLauncher(_CellLauncher):
    """Each cell a SLURM job (conf/hydra/launcher/slurm.yaml)."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the cells, and wait for them if the settings say so."""
        from mandseg.runs.launchers.slurm import SlurmSettings, launch

        return self._launch(launch, SlurmSettings, job_overrides)


class LocalLauncher(_CellLauncher):
    """Several cells at once on this machine (conf/hydra/launcher/local.yaml)."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the cells side by side, to their end."""
        from mandseg.runs.launchers.local import LocalSettings, launch

        return self._launch(launch, LocalSettings, job_overrides)
