"""The W&B client: an import without output, the key, and the start and end of a run within seconds."""

import logging
import netrc
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mandseg.system.config_paths import home_folder
from mandseg.system.errors import UserError, one_line, reason

if TYPE_CHECKING:
    import pandas as pd
    import wandb

SERVER_WAIT_S = 10  # seconds
STEP_AXIS = "trainer/global_step"  # the name in Lightning's WandbLogger
RATIO_AXIS = "noise_ratio"

log = logging.getLogger(__name__)

PUBLIC_HOST = "api.wandb.ai"  # the host name of keys for the default server


def wandb_client() -> ModuleType:
    """Import wandb without its crash reports, which name the machine and its folders."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


def key_is_configured() -> bool:
    """Whether the client has a key for its server. The user is not asked for a key."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    wandb = wandb_client()
    try:
        known = wandb.setup(settings=wandb.Settings(silent=True)).settings
    except Exception as error:  # WANDB_BASE_URL or a settings file is wrong; the training continues without W&B
        log.warning("W&B: its settings cannot be used (%s)", reason(error))
        return False
    url = os.environ.get("WANDB_BASE_URL") or known.base_url
    hosts = {urlsplit(url).netloc} | ({PUBLIC_HOST} if url == type(known).model_fields["base_url"].default else set())
    given = os.environ.get("NETRC")
    paths = [Path(given)] if given else [home_folder() / ".netrc", home_folder() / "_netrc"]
    return bool(known.api_key) or any(_netrc_holds_a_key(path, host) for path in paths for host in hosts)


def _netrc_holds_a_key(path: Path, host: str) -> bool:
    try:
        entry = netrc.netrc(path).authenticators(host) if path.is_file() else None
    except (netrc.NetrcParseError, OSError) as error:
        log.warning("W&B: no key read from %s (%s)", path, one_line(error))
        return False
    return bool(entry and entry[2])


class UnreachableError(Exception):
    """The W&B server did not answer in time, or refused the key; one line."""


@dataclass(frozen=True)
class Account:
    """A user of a W&B server.

    Attributes:
        server: Its address.
        entity: The default user or team of the key.
    """

    server: str
    entity: str


def open_account() -> Account:
    """Ask the server for the account of the key.

    Raises:
        UserError: No key is configured.
        UnreachableError: No answer, or a refusal, within about ``SERVER_WAIT_S``.
    """
    if not key_is_configured():
        raise UserError("W&B: no key is configured, nothing was sent; run `wandb login` or set WANDB_API_KEY")
    wandb = wandb_client()
    server = wandb.setup().settings.base_url
    try:
        entity = wandb.Api(timeout=SERVER_WAIT_S).default_entity
    except Exception as error:
        raise UnreachableError(f"W&B: {server} was not reached within {SERVER_WAIT_S} s ({one_line(error)})") from error
    if not entity:
        raise UnreachableError(f"W&B: {server} refuses this key; run `wandb login --relogin`")
    return Account(server, str(entity))


def client_settings(init_timeout_s: float, finish_timeout_s: float, **more: Any) -> "wandb.Settings":
    """Client settings: no output, short timeouts, and no code, git state, console, host, user or program path."""
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


def init_run(options: "wandb.Settings", **given: Any) -> "wandb.Run":
    """Start a run. Only this function calls ``wandb.init``.

    Args:
        options: From ``client_settings``.
        given: Arguments of ``wandb.init``.
    """
    wandb = wandb_client()
    wandb.setup(settings=options)  # otherwise the client prints before it reads the setting silent
    return wandb.init(settings=options, **given)


def finish_in_time(run: "wandb.Run", exit_code: int, timeout_s: float) -> Exception | None:
    """End a run and wait for its uploads; return the error, also if the client does not return in time."""
    outcome: list[Exception] = []
    thread = threading.Thread(target=_finish, args=(run, exit_code, outcome), daemon=True)
    thread.start()
    thread.join(timeout_s + 5.0)  # the client has its own, shorter timeout
    if thread.is_alive():
        outcome.append(TimeoutError(f"no end after {timeout_s + 5.0:g} s"))
    return outcome[0] if outcome else None


def media_table(run: "wandb.Run", name: str, table: "pd.DataFrame") -> Any:
    """Make a table that is logged as a media file. An artifact would wait for the server and send a local path."""
    shown = wandb_client().Table(dataframe=table)
    shown.bind_to_run(run, name, "final")
    return shown


def _finish(run: "wandb.Run", exit_code: int, outcome: list[Exception]) -> None:
    try:
        run.finish(exit_code=exit_code)
    except Exception as error:
        outcome.append(error)
