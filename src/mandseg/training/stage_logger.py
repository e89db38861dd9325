"""A logger for a later stage: it converts the steps of the stage, which Lightning counts, to steps of the run."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers.logger import Logger


class StageLogger(Logger):
    """Passes all calls to the run's logger, with the steps of the run.

    Args:
        logger: The run's logger. It is not closed here.
        first_step: Steps of the run before the stage.
    """

    def __init__(self, logger: Logger, first_step: int) -> None:
        super().__init__()
        self.logger, self.first_step = logger, first_step

    @property
    def name(self) -> str | None:
        """The same as of the run's logger."""
        return self.logger.name

    @property
    def version(self) -> int | str | None:
        """The same as of the run's logger."""
        return self.logger.version

    @property
    def save_dir(self) -> str | None:
        """The same as of the run's logger."""
        return self.logger.save_dir

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at a step of the stage."""
        self.logger.log_metrics(dict(metrics), None if step is None else self.first_step + step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Log settings."""
        self.logger.log_hyperparams(params, *args, **kwargs)
