"""Hydra plugins: the grid's sweeper, the launchers and the search path of sweeps/. Hydra finds them by this folder.

Every Hydra program imports this file at its start. Therefore the plugins import other modules only when they are used.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from mandseg.runs.launchers.cells import Cell


def _free() -> DictConfig:
    return DictConfig({}, flags={"struct": False})


# Groups whose keys are the user's own names: eval.NAME=PATH without a plus sign, which Hydra requires for keys that no
# config file names.
ConfigStore.instance().store("free_names", DictConfig({"eval": _free(), "analysis": {"margins": _free()}}))


class SweepsFolder(SearchPathPlugin):
    """Adds sweeps/ beside conf/ to the search path of --config-name, in this program only."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folder after the program's own."""
        from mandseg.system.config_paths import config_folder, sweeps_folder

        found = {str(element.path).removeprefix("file://") for element in search_path.get_path()}
        if str(config_folder()) in found:
            search_path.append("mandseg", str(sweeps_folder()))


class CheckedGrid(Sweeper):
    """The grid (conf/hydra/sweeper/checked_grid.yaml): all combinations, each checked before the first one runs."""

    def __init__(self, max_batch_size: int | None = None, params: Mapping[str, Any] | None = None) -> None:
        self.max_batch_size, self.params = max_batch_size, dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher."""
        self.context: HydraContext = hydra_context
        self.settings: DictConfig = config
        self.starter: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Check and list every cell, then run them.

        Raises:
            UserError: One of the cells is wrong; none has run.
        """
        from mandseg.runs.launchers.cells import words_of_grid
        from mandseg.runs.launchers.grid import check_grid, withdrawn_if_refused
        from mandseg.system.errors import UserError
        from mandseg.system.expectations import optional, whole

        if not (expected := optional(whole(1))).holds(self.max_batch_size):
            raise UserError(f"hydra.sweeper.max_batch_size={self.max_batch_size}: {expected}")
        if isinstance(self.starter, _CellLauncher):
            self.starter.check()
        cells, new = check_grid(self.settings, self.context, words_of_grid(self.params, arguments))
        if isinstance(self.starter, _CellLauncher):
            self.starter.cells = {cell.overrides: cell for cell in cells}
        folder = Path(self.settings.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.settings, folder / "multirun.yaml")
        with withdrawn_if_refused(new):
            return list(self._launched([cell.overrides for cell in cells]))

    def _launched(self, cells: Sequence[Sequence[str]]) -> Iterator[Sequence[JobReturn]]:
        """Pass the cells to the launcher, in batches of ``max_batch_size``; an exception of a job is raised here."""
        size = self.max_batch_size or len(cells)
        for start in range(0, len(cells), size):
            results = self.starter.launch([list(c) for c in cells[start : start + size]], initial_job_idx=start)
            for result in results:
                _ = result.return_value
            yield results


class _CellLauncher(Launcher):
    """A launcher that starts each cell of a grid as a separate command."""

    def __init__(self, **settings: Any) -> None:
        self.settings: dict[str, Any] = {
            k: OmegaConf.to_object(v) if OmegaConf.is_config(v) else v for k, v in settings.items()
        }
        self.cells: dict[tuple[str, ...], Cell] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the config of the launch."""
        self.config = config

    def check(self) -> None:
        """Refuse settings of the launcher that cannot work, before anything is written."""

    def _launch(
        self, start: Callable[..., list[float | None]], settings: Any, job_overrides: Sequence[Sequence[str]]
    ) -> list[JobReturn]:
        """Start the cells. Cells of a search are composed here."""
        from mandseg.runs.launchers.cells import compose

        new = [words for words in job_overrides if tuple(words) not in self.cells]
        self.cells |= {cell.overrides: cell for cell in compose(self.config, new)}
        values = start([self.cells[tuple(words)] for words in job_overrides], settings(**self.settings), self.config)
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=value) for value in values]


class SlurmLauncher(_CellLauncher):
    """Each cell is a SLURM job (conf/hydra/launcher/slurm.yaml)."""

    def check(self) -> None:
        """Refuse unknown settings, and a machine without SLURM."""
        from mandseg.runs.launchers.slurm import SlurmSettings, refuse_without_slurm

        SlurmSettings(**self.settings)
        refuse_without_slurm()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the cells, and wait for them with ``wait``."""
        from mandseg.runs.launchers.slurm import SlurmSettings, launch

        return self._launch(launch, SlurmSettings, job_overrides)


class LocalLauncher(_CellLauncher):
    """Several cells run at the same time on this machine (conf/hydra/launcher/local.yaml)."""

    def check(self) -> None:
        """Refuse jobs and threads that are not whole numbers above 0."""
        from mandseg.runs.launchers.local import LocalSettings

        LocalSettings(**self.settings)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the cells and wait for their end."""
        from mandseg.runs.launchers.local import LocalSettings, launch

        return self._launch(launch, LocalSettings, job_overrides)
