"""Lightning's WandbLogger writing to a mirror that may break: a failing call ends the mirroring, not the training."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from mandseg.tracking.wandb_run import Mirror


class MirrorLogger(WandbLogger):
    """WandbLogger on a run that is open already; the run is finished by whoever opened it.

    Args:
        mirror: The open run.
    """

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(experiment=mirror.run, project=mirror.settings.project, log_model=False)
        self.mirror = mirror

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send a step's values."""
        self.mirror.attempt("log metrics", lambda: super(MirrorLogger, self).log_metrics(metrics, step))

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Send nothing: the settings went, without folders, when the run was opened."""
