"""A logger for a later stage of a training: Lightning counts the steps of a stage, the logger those of the run."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers.logger import Logger


class StageLogger(Logger):
    """Hands everything on, with the steps of the run.

    Args:
        logger: The run's logger; whoever opened it closes it.
        first_step: Steps of the run before the stage.
    """

    def __init__(self, logger: Logger, first_step: int) -> None:
        super().__init__()
        self.logger, self.first_step = logger, first_step

    @property
    def name(self) -> str | None:
        """The logger's."""
        return self.logger.name

    @property
    def version(self) -> int | str | None:
        """The logger's."""
        return self.logger.version

    @property
    def save_dir(self) -> str | None:
        """The logger's."""
        return self.logger.save_dir

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at a step of the stage."""
        self.logger.log_metrics(dict(metrics), None if step is None else self.first_step + step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Log settings."""
        self.logger.log_hyperparams(params, *args, **kwargs)
