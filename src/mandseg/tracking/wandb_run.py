"""The W&B run of a training, online or recorded on disk. It does not stop the training or delay it for long.

This module imports Lightning. Code that does not track imports only ``mandseg.tracking.client``.
"""

import logging
import secrets
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from mandseg.system.errors import one_line
from mandseg.system.files import write_text
from mandseg.system.wording import typed
from mandseg.tracking.client import (
    RATIO_AXIS,
    STEP_AXIS,
    client_settings,
    finish_in_time,
    init_run,
    media_table,
    wandb_client,
)
from mandseg.tracking.recordings import UNSENT, Recording
from mandseg.tracking.settings import Mode, TrackingSettings

if TYPE_CHECKING:
    import pandas as pd
    import wandb

log = logging.getLogger(__name__)
ID_FILE = "wandb_id"


class WandbRun:
    """One W&B run. The first failed call ends the tracking on W&B with one warning, and the training continues."""

    def __init__(self, run: "wandb.Run", settings: TrackingSettings) -> None:
        self.run = run
        self.settings = settings
        self.failed = False

    @property
    def recording(self) -> Recording:
        """The recording of the run on disk."""
        folder = Path(self.run.dir).parent
        return Recording(folder / f"run-{self.run.id}.wandb")

    def try_to(self, what: str, call: Callable[[], object]) -> None:
        """Make a call to the client, unless an earlier call has failed."""
        if self.failed:
            return
        try:
            call()
        except Exception as error:
            self._give_up(what, error)

    def log_pictures(self, step: int, paths: Sequence[Path]) -> None:
        """Log picture files at a step, each under its stem, so that one panel shows one case."""
        from wandb import Image

        pictures = {f"overlays/{path.stem}": Image(str(path)) for path in paths}
        self.run.log({**pictures, STEP_AXIS: step})

    def log_scores(self, scores: Mapping[str, float], noise_ratio: float | None) -> None:
        """Log the final scores: as the summary of the run, and as its point of each curve over the noise ratio."""
        self.run.summary.update(dict(scores))
        if noise_ratio is not None:
            self.run.log({**scores, RATIO_AXIS: noise_ratio})

    def log_table(self, name: str, table: "pd.DataFrame") -> None:
        """Log a table."""
        self.run.log({name: media_table(self.run, name, table)})

    def finish(self, exit_code: int) -> None:
        """End the run with its exit code and wait for the uploads, at most about ``finish_timeout_s``."""
        error = finish_in_time(self.run, exit_code, self.settings.finish_timeout_s)
        if error is not None and not self.failed:
            self._give_up("finish the run", error)
        elif self.run.offline:
            log.info("W&B: recorded offline; to send it: mandseg sync %s", typed(self._study_folder))

    @property
    def _study_folder(self) -> Path:
        return self.recording.folder.parents[2]  # <study>/<run>/wandb/<recording's folder>

    def _give_up(self, what: str, error: Exception) -> None:
        self.failed = True
        if self.recording.folder.is_dir() and not self.recording.is_offline:
            self.recording.mark(UNSENT)
        kept = f"to send the recorded part: mandseg sync {typed(self._study_folder)}"
        log.warning("W&B could not %s (%s); the run continues without it; %s", what, one_line(error), kept)


class WandbRunLogger(WandbLogger):
    """Lightning's logger for an open W&B run. It does not finish the run.

    Args:
        wandb_run: The open run.
    """

    def __init__(self, wandb_run: WandbRun) -> None:
        super().__init__(experiment=wandb_run.run, project=wandb_run.settings.project, log_model=False)
        self.wandb_run = wandb_run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send a step's values."""
        self.wandb_run.try_to("log metrics", lambda: super(WandbRunLogger, self).log_metrics(metrics, step))

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Send nothing. The settings were sent without folders at the start of the run."""


def start_wandb_run(
    settings: TrackingSettings, mode: Mode, run_folder: Path, described: Mapping[str, Any]
) -> WandbRun | None:
    """Start a W&B run in a run folder: offline if the server does not answer in time; None if that also fails.

    Args:
        settings: Project and entity, and the time limits.
        mode: ``online`` or ``offline``.
        run_folder: Gets ``wandb/`` and ``wandb_id``, which is made once, so that a resumed run continues its W&B run.
            The first recording of a run overwrites the rest of an interrupted upload; later recordings append.
        described: ``name``, ``group``, ``tags`` and ``config`` of the run.
    """
    resume = "allow" if (run_folder / ID_FILE).exists() else None
    if mode == "online":
        try:
            return WandbRun(_start(settings, mode, run_folder, resume, described), settings)
        except Exception as error:
            log.warning("W&B could not be reached (%s); recording offline", one_line(error))
        wandb_client().teardown(exit_code=1)  # otherwise the client keeps the id of the run in use
    try:
        return WandbRun(_start(settings, "offline", run_folder, resume, described), settings)
    except Exception as error:
        log.warning("W&B could not start (%s); the run continues without it", one_line(error))
        return None


def _start(
    settings: TrackingSettings, mode: Mode, run_folder: Path, resume: str | None, described: Mapping[str, Any]
) -> "wandb.Run":
    run = init_run(
        client_settings(settings.init_timeout_s, settings.finish_timeout_s),
        project=settings.project,
        entity=settings.entity,
        job_type="train",
        id=_run_id(run_folder),
        resume=resume,
        dir=str(run_folder),
        mode=mode,
        **described,
    )
    run.define_metric(STEP_AXIS)
    run.define_metric("*", step_metric=STEP_AXIS, step_sync=True)
    return run


def _run_id(run_folder: Path) -> str:
    path = run_folder / ID_FILE
    if not path.exists():
        write_text(path, secrets.token_hex(8) + "\n")  # not seeded: two studies with one seed are two runs on W&B
    return path.read_text(encoding="utf-8").strip()
