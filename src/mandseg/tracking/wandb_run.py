"""A run on Weights & Biases, online or recorded on disk: opened quickly, never asked back, never able to fail a run.

wandb is imported by what needs it, never at start-up, and always through ``wandb_client``.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mandseg.system.files import write_text
from mandseg.tracking.client import _first_line, wandb_client
from mandseg.tracking.recordings import UNSENT, Recording
from mandseg.tracking.settings import Mode

if TYPE_CHECKING:
    import pandas as pd
    import wandb

    from mandseg.tracking.settings import TrackingSettings

log = logging.getLogger(__name__)
STEP_AXIS = "trainer/global_step"  # as Lightning's WandbLogger calls it
RATIO_AXIS = "noise_ratio"
ID_FILE = "wandb_id"


class Mirror:
    """One W&B run; the first call that fails ends the mirroring with one warning, never the training."""

    def __init__(self, run: "wandb.Run", settings: "TrackingSettings") -> None:
        self.run = run
        self.settings = settings
        self.failed = False

    @property
    def recording(self) -> Recording:
        """What the client keeps of the run on disk."""
        folder = Path(self.run.dir).parent
        return Recording(folder / f"run-{self.run.id}.wandb")

    def attempt(self, what: str, call: Callable[[], object]) -> None:
        """Make a call to the client, unless one has failed before."""
        if self.failed:
            return
        try:
            call()
        except Exception as error:
            self._give_up(what, error)

    def log_pictures(self, step: int, paths: Sequence[Path]) -> None:
        """Log picture files at a step, each under its stem, so that one panel follows one case."""
        from wandb import Image

        pictures = {f"overlays/{path.stem}": Image(str(path)) for path in paths}
        self.run.log({**pictures, STEP_AXIS: step})

    def log_scores(self, scores: Mapping[str, float], noise_ratio: float | None) -> None:
        """Keep the final scores as the run's summary, and as its one point of every curve over the noise ratio."""
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
            log.info("W&B: recorded offline; to send it: mandseg sync %s", self._study_folder)

    @property
    def _study_folder(self) -> Path:
        return self.recording.folder.parents[2]  # <study>/<run>/wandb/<recording's folder>

    def _give_up(self, what: str, error: Exception) -> None:
        self.failed = True
        if self.recording.folder.is_dir() and not self.recording.is_offline:
            self.recording.mark(UNSENT)
        kept = f"what was kept can be sent by: mandseg sync {self._study_folder}"
        log.warning("W&B could not %s (%s); the run goes on without it; %s", what, _first_line(error), kept)


def finish_in_time(run: "wandb.Run", exit_code: int, timeout_s: float) -> Exception | None:
    """End a run and wait for its uploads; what went wrong comes back, and so does a client that never returns."""
    outcome: list[Exception] = []
    thread = threading.Thread(target=_finish, args=(run, exit_code, outcome), daemon=True)
    thread.start()
    thread.join(timeout_s + 5.0)  # the client should give up by itself first
    if thread.is_alive():
        outcome.append(TimeoutError(f"no end after {timeout_s + 5.0:g} s"))
    return outcome[0] if outcome else None


def media_table(run: "wandb.Run", name: str, table: "pd.DataFrame") -> Any:
    """Make a table to be logged as a media file; as an artifact it would wait for the server and send a local path."""
    shown = wandb_client().Table(dataframe=table)
    shown.bind_to_run(run, name, "final")
    return shown


def open_mirror(
    settings: "TrackingSettings", mode: Mode, run_folder: Path, described: Mapping[str, Any]
) -> Mirror | None:
    """Open a W&B run in a run folder; offline when the server does not answer in time, None when that fails too.

    Args:
        settings: Where to, and how long to wait.
        mode: ``online`` or ``offline``; None is returned for ``disabled``.
        run_folder: Gets ``wandb_id``, made once, so that a resumed run continues its W&B run, and ``wandb/``. The first
            recording of a run overwrites what an upload that was cut short has left on the server, later ones append.
        described: ``name``, ``group``, ``tags`` and ``config`` of the run.
    """
    if mode == "disabled":
        return None
    resume = "allow" if (run_folder / ID_FILE).exists() else None
    if mode == "online":
        try:
            return Mirror(_start(settings, mode, run_folder, resume, described), settings)
        except Exception as error:
            log.warning("W&B could not be reached (%s); recording offline", _first_line(error))
        wandb_client().teardown(exit_code=1)  # or the client would hold the run's id as in use
    try:
        return Mirror(_start(settings, "offline", run_folder, resume, described), settings)
    except Exception as error:
        log.warning("W&B could not start (%s); the run goes on without it", _first_line(error))
        return None


def _start(
    settings: "TrackingSettings", mode: Mode, run_folder: Path, resume: str | None, described: Mapping[str, Any]
) -> "wandb.Run":
    wandb = wandb_client()
    options = client_settings(settings.init_timeout_s, settings.finish_timeout_s)
    wandb.setup(settings=options)  # or the client would greet before it reads that it should be silent
    run = wandb.init(
        project=settings.project,
        entity=settings.entity,
        job_type="train",
        id=_run_id(run_folder),
        resume=resume,
        dir=str(run_folder),
        mode=mode,
        settings=options,
        **described,
    )
    run.define_metric(STEP_AXIS)
    run.define_metric("*", step_metric=STEP_AXIS, step_sync=True)
    return run


def client_settings(init_timeout_s: float, finish_timeout_s: float, **more: Any) -> "wandb.Settings":
    """Keep the client quiet, hasty and discreet: no code, no git state, no console, no host, user or program paths."""
    wandb = wandb_client()
    wanted = {
        "silent": True,
        "init_timeout": init_timeout_s,
        "finish_timeout": finish_timeout_s,
        "finish_timeout_raises": True,
        "reinit": "finish_previous",
        "console": "off",
        "host": "withheld",
        "program": "mandseg.train",
        "disable_git": True,
        "disable_code": True,
        "save_code": False,
        "x_disable_meta": True,
        **more,
    }
    return wandb.Settings(**{key: value for key, value in wanted.items() if key in wandb.Settings.model_fields})


def _run_id(run_folder: Path) -> str:
    path = run_folder / ID_FILE
    if not path.exists():
        write_text(path, secrets.token_hex(8) + "\n")  # no seed: two studies with one seed are two runs on W&B
    return path.read_text(encoding="utf-8").strip()


def _finish(run: "wandb.Run", exit_code: int, outcome: list[Exception]) -> None:
    try:
        run.finish(exit_code=exit_code)
    except Exception as error:
        outcome.append(error)
