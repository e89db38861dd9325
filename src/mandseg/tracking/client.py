"""Who is sending to which W&B server: asked once, before anything is sent, and answered within seconds."""

import logging
import netrc
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from mandseg.system.config_paths import home_folder
from mandseg.system.errors import UserError

PATIENCE_S = 10  # seconds

log = logging.getLogger(__name__)

PUBLIC_HOST = "api.wandb.ai"  # keys are filed under it, whatever address the client calls its default


def wandb_client() -> ModuleType:
    """Import wandb, told to send no crash reports to its makers: they name the machine and its folders."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


def key_is_configured() -> bool:
    """Whether the client would find a key for the server it sends to, without asking for one."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    wandb = wandb_client()
    known = wandb.setup(settings=wandb.Settings(silent=True)).settings
    url = os.environ.get("WANDB_BASE_URL") or known.base_url
    hosts = {urlsplit(url).netloc} | ({PUBLIC_HOST} if url == type(known).model_fields["base_url"].default else set())
    given = os.environ.get("NETRC")
    paths = [Path(given)] if given else [home_folder() / ".netrc", home_folder() / "_netrc"]
    return bool(known.api_key) or any(_netrc_holds_a_key(path, host) for path in paths for host in hosts)


def _netrc_holds_a_key(path: Path, host: str) -> bool:
    try:
        entry = netrc.netrc(path).authenticators(host) if path.is_file() else None
    except (netrc.NetrcParseError, OSError) as error:
        log.warning("W&B: no key read from %s (%s)", path, _first_line(error))
        return False
    return bool(entry and entry[2])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class UnreachableError(Exception):
    """The W&B server did not answer in time, or did not take the key; one line."""


@dataclass(frozen=True)
class Account:
    """A user of a W&B server.

    Attributes:
        server: Its address.
        entity: The user's or team's name that things go to when nothing else is said.
    """

    server: str
    entity: str


def open_account() -> Account:
    """Ask the server whose key this is.

    Raises:
        UserError: No key is configured.
        UnreachableError: No answer, or a refusal, within about ``PATIENCE_S``.
    """
    if not key_is_configured():
        raise UserError("W&B: no key is configured, nothing was sent; run `wandb login` or set WANDB_API_KEY")
    wandb = wandb_client()
    server = wandb.setup().settings.base_url
    try:
        entity = wandb.Api(timeout=PATIENCE_S).default_entity
    except Exception as error:
        raise UnreachableError(f"W&B: {server} could not be asked within {PATIENCE_S} s ({_cause(error)})") from error
    if not entity:
        raise UnreachableError(f"W&B: {server} does not know this key; run `wandb login --relogin`")
    return Account(server, str(entity))


def _cause(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
