"""The cells of a grid: overrides, config and run folder of each, and the command that runs only this cell."""

import copy
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mandseg.runs.condition import condition, evaluation_hash
from mandseg.runs.folder import RunFolder
from mandseg.runs.origin import Content, changes, content_or_none, reads_noisy_labels
from mandseg.runs.run_name import name_of
from mandseg.runs.settings.typed_text import quoted
from mandseg.system.errors import UserError

NOT_OF_A_CELL = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper", "hydra.mode", "hydra.sweep.")


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
        overrides: Its differences from the config file, in Hydra's syntax.
        cfg: Its composed config.
        study: The study folder.
        condition: The columns that distinguish it from the study's other runs.
    """

    overrides: tuple[str, ...]
    cfg: DictConfig
    study: Path
    condition: dict[str, Any]

    @property
    def run(self) -> str:
        """The run's name."""
        return name_of(self.condition)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.study / self.run


def unfinished(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that are not done, not tested on every requested data set, or made from other images and labels."""
    done = [c for c in cells if RunFolder(c.folder).is_done(evaluation_hash(c.cfg))]
    settled = {c.folder for c in done} - set(changed(done))
    return [cell for cell in cells if cell.folder not in settled]


def changed(cells: Sequence[Cell]) -> dict[Path, list[str]]:
    """The done runs whose images or labels have changed: run folder -> the differences.

    The files of a source are read once for all its cells. If they cannot be read on this machine, a warning is logged
    and the result counts as unchanged.
    """
    found: dict[Path, list[str]] = {}
    known: dict[str, Content | None] = {}
    for cell in cells:
        record = RunFolder(cell.folder).state().record
        if record is None or record.state != "done" or record.content is None:
            continue
        source = repr((cell.cfg.data, cell.cfg.eval, reads_noisy_labels(cell.cfg), cell.cfg.cache_dir))
        if source not in known:
            known[source] = content_or_none(cell.cfg)
        if differing := changes(record.content, known[source] or {}):
            found[cell.folder] = differing
    return found


def study_folder(config: DictConfig) -> Path:
    """<output_dir>/<study>."""
    return Path(str(config.output_dir)) / str(config.study)


def words_of_grid(axes: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """The overrides of a launch: the axes of its config file (``hydra.sweeper.params``), then the words typed."""
    return [*(quoted(f"{key}={value}") for key, value in axes.items()), *words]


def expand(words: Sequence[str]) -> list[list[str]]:
    """The overrides of each cell of a grid: all combinations of the axes' values, the last axis fastest.

    Args:
        words: The overrides of the launch; ``seed=0,1`` and ``seed=range(3)`` are axes. The last value of a
            repeated key counts.
    """
    axes: dict[str, list[str]] = {}
    for override in _parser().parse_overrides(list(words)):
        key = override.get_key_element()
        axes[key] = [f"{key}={value}" for value in _values(override)]
    return [list(cell) for cell in itertools.product(*axes.values())]


def _values(override: Override) -> list[str]:
    """The values of an axis; one value if the override is no axis.

    Raises:
        UserError: The axis is no list of values.
    """
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise UserError(f"{override.input_line}: a grid needs a list of values; for a search give hydra/sweeper=optuna")
    try:
        return list(override.sweep_string_iterator())
    except ValueError as error:  # range(0, 10, 0)
        raise UserError(f"{override.input_line}: the step of a range is 0, expected another number") from error


def compose(config: DictConfig, cells: Sequence[Sequence[str]]) -> list[Cell]:
    """Compose each cell of a launch, with Hydra's result and in a tenth of its time (benchmarks/submission.py).

    Hydra reads every config file again for each cell. Here the files are read once for each choice of files
    (``model=...``). Plain values (``seed=1``) are then set in a copy.

    Args:
        config: The composed config of the launch.
        cells: The overrides of each cell.
    """
    loader, parser = GlobalHydra.instance().config_loader(), _parser()
    choices: dict[tuple[str, ...], DictConfig] = {}
    return [_compose(config, parser.parse_overrides(list(cell)), loader, choices) for cell in cells]


def _compose(
    config: DictConfig, overrides: Sequence[Override], loader: ConfigLoader, choices: dict[tuple[str, ...], DictConfig]
) -> Cell:
    groups = set(config.hydra.runtime.choices)
    words = [str(o.input_line) for o in overrides]
    values = [o for o in overrides if _is_plain(o) and o.key_or_group not in groups]
    key = tuple(str(o.input_line) for o in overrides if o not in values)
    if key not in choices:
        choices[key] = _without_hydra(loader.load_sweep_config(config, list(key)))
    cfg = copy.deepcopy(choices[key])
    try:
        for value in values:
            OmegaConf.update(cfg, value.key_or_group, value.value(), merge=True)
    except OmegaConfBaseException:  # Hydra's own message is better
        cfg = _without_hydra(loader.load_sweep_config(config, words))
    return cell_of(cfg, words)


def _without_hydra(cfg: DictConfig) -> DictConfig:
    """The config without Hydra's node, which is half of all nodes and does not belong to a run."""
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def _parser() -> OverridesParser:
    return OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())


def cell_of(cfg: DictConfig, overrides: Sequence[str]) -> Cell:
    """The cell of a composed config.

    Raises:
        UserError: The condition is impossible.
    """
    return Cell(tuple(overrides), cfg, study_folder(cfg), condition(cfg))


def _is_plain(override: Override) -> bool:
    """Whether an override sets one value that a config file has: ``seed=1``, not ``+a=1``, ``~a``, ``a={b: 1}``."""
    changes = override.is_add() or override.is_force_add() or override.is_delete()
    return not (changes or override.package or "/" in override.key_or_group or isinstance(override.value(), dict))


def command(config: DictConfig, cell: Cell) -> list[str]:
    """The command line that runs one cell of a launch as a single run, from the same working folder."""
    folders = [s.path for s in config.hydra.runtime.config_sources if s.provider == "command-line"]
    options = [word for folder in folders for word in ("--config-dir", str(folder))]
    options += ["--config-name", str(config.hydra.job.config_name)]
    of_hydra = [word for word in config.hydra.overrides.hydra if not word.lstrip("+~").startswith(NOT_OF_A_CELL)]
    return [sys.executable, "-P", "-m", "mandseg.train", *options, *of_hydra, "hydra.mode=RUN", *cell.overrides]
