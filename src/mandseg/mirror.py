"""A run on Weights & Biases, online or recorded on disk: opened quickly, never asked back, never able to fail a run.

The only module that imports wandb, and only when a mirror is opened.
"""

import logging
import netrc
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from mandseg.errors import UserError
from mandseg.files import write_text

if TYPE_CHECKING:
    import pandas as pd
    import wandb

    from mandseg.tracking import TrackingSettings

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]
MODES: tuple[Mode, ...] = ("online", "offline", "disabled")
PUBLIC_HOST = "api.wandb.ai"  # keys are filed under it, whatever address the client calls its default
STEP_AXIS = "trainer/global_step"  # as Lightning's WandbLogger calls it


class Mirror:
    """One W&B run; the first call that fails ends the mirroring with one warning, never the training."""

    def __init__(self, run: "wandb.Run", settings: "TrackingSettings") -> None:
        self.run = run
        self.settings = settings
        self.failed = False

    @property
    def folder(self) -> Path:
        """Where the client keeps the run on disk; ``wandb sync`` takes it."""
        return Path(self.run.dir).parent

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

    def log_table(self, name: str, table: "pd.DataFrame") -> None:
        """Log a table as a media file; as an artifact it would wait for the server and send a path in the home."""
        from wandb import Table

        shown = Table(dataframe=table)
        shown.bind_to_run(self.run, name, "final")
        self.run.log({name: shown})

    def finish(self, exit_code: int) -> None:
        """End the run with its exit code and wait for the uploads, at most about ``finish_timeout_s``."""
        patience_s = self.settings.finish_timeout_s + 5.0  # the client should give up by itself first
        outcome: list[Exception] = []
        thread = threading.Thread(target=_finish, args=(self.run, exit_code, outcome), daemon=True)
        thread.start()
        thread.join(patience_s)
        if thread.is_alive():
            outcome.append(TimeoutError(f"no end after {patience_s:g} s"))
        if outcome and not self.failed:
            self._give_up("finish the run", outcome[0])
        elif self.run.offline:
            log.info("W&B: recorded offline; to send it: wandb sync %s", self.folder)

    def _give_up(self, what: str, error: Exception) -> None:
        self.failed = True
        kept = f"what was kept can be sent by: wandb sync {self.folder}"
        log.warning("W&B could not %s (%s); the run goes on without it; %s", what, _first_line(error), kept)


def open_mirror(
    settings: "TrackingSettings", mode: Mode, run_folder: Path, described: Mapping[str, Any]
) -> Mirror | None:
    """Open a W&B run in a run folder; offline when the server does not answer in time, None when that fails too.

    Args:
        settings: Where to, and how long to wait.
        mode: ``online`` or ``offline``; None is returned for ``disabled``.
        run_folder: Gets ``wandb_id``, made once, so that a resumed run continues its W&B run, and ``wandb/``.
        described: ``name``, ``group``, ``tags`` and ``config`` of the run.
    """
    if mode == "disabled":
        return None
    try:
        return Mirror(_start(settings, mode, run_folder, described), settings)
    except Exception as error:
        if mode == "offline":
            log.warning("W&B could not start (%s); the run goes on without it", _first_line(error))
            return None
        log.warning("W&B could not be reached (%s); recording offline", _first_line(error))
    import wandb

    wandb.teardown(exit_code=1)  # or the client would hold the run's id as in use
    return open_mirror(settings, "offline", run_folder, described)


def resolve_mode(mode: str) -> Mode:
    """Decide between online, offline and disabled, without ever asking.

    Args:
        mode: One of ``MODES``, or ``auto``: WANDB_MODE if set, else online when a key is configured, else offline.
    """
    asked = (os.environ.get("WANDB_MODE") or "auto") if mode == "auto" else mode
    if asked == "dryrun":  # W&B's old word
        asked = "offline"
    for known in MODES:
        if asked == known != "online":
            return known
    if asked not in ("auto", "online"):
        raise UserError(f"WANDB_MODE={asked}: expected one of {', '.join(MODES)}")
    if _key_is_configured():
        return "online"
    if asked == "online":
        log.warning("W&B: online was asked for but no key is configured (wandb login); recording offline")
    return "offline"


def _key_is_configured() -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    import wandb

    known = wandb.setup(settings=wandb.Settings(silent=True)).settings
    url = os.environ.get("WANDB_BASE_URL") or known.base_url
    hosts = {urlsplit(url).netloc} | ({PUBLIC_HOST} if url == type(known).model_fields["base_url"].default else set())
    given = os.environ.get("NETRC")
    paths = [Path(given)] if given else [Path("~/.netrc").expanduser(), Path("~/_netrc").expanduser()]
    return bool(known.api_key) or any(_netrc_holds_a_key(path, host) for path in paths for host in hosts)


def _netrc_holds_a_key(path: Path, host: str) -> bool:
    try:
        entry = netrc.netrc(path).authenticators(host) if path.is_file() else None
    except (netrc.NetrcParseError, OSError) as error:
        log.warning("W&B: no key read from %s (%s)", path, _first_line(error))
        return False
    return bool(entry and entry[2])


def _start(settings: "TrackingSettings", mode: Mode, run_folder: Path, described: Mapping[str, Any]) -> "wandb.Run":
    import wandb

    options = _client_settings(settings)
    wandb.setup(settings=options)  # or the client would greet before it reads that it should be silent
    run = wandb.init(
        project=settings.project,
        entity=settings.entity,
        job_type="train",
        id=_run_id(run_folder),
        resume="allow",
        dir=str(run_folder),
        mode=mode,
        settings=options,
        **described,
    )
    run.define_metric(STEP_AXIS)
    run.define_metric("*", step_metric=STEP_AXIS, step_sync=True)
    return run


def _client_settings(settings: "TrackingSettings") -> "wandb.Settings":
    """Keep the client quiet, hasty and discreet: no code, no git state, no console, no host, user or program paths."""
    import wandb

    wanted = {
        "silent": True,
        "init_timeout": settings.init_timeout_s,
        "finish_timeout": settings.finish_timeout_s,
        "finish_timeout_raises": True,
        "reinit": "finish_previous",
        "console": "off",
        "host": "withheld",
        "program": "mandseg.train",
        "disable_git": True,
        "disable_code": True,
        "save_code": False,
        "x_disable_meta": True,
    }
    return wandb.Settings(**{key: value for key, value in wanted.items() if key in wandb.Settings.model_fields})


def _run_id(run_folder: Path) -> str:
    path = run_folder / "wandb_id"
    if not path.exists():
        write_text(path, secrets.token_hex(8) + "\n")  # no seed: two studies with one seed are two runs on W&B
    return path.read_text(encoding="utf-8").strip()


def _finish(run: "wandb.Run", exit_code: int, outcome: list[Exception]) -> None:
    try:
        run.finish(exit_code=exit_code)
    except Exception as error:
        outcome.append(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
