"""Who is sending to which W&B server: asked once, before anything is sent, and answered within seconds."""

from dataclasses import dataclass

from mandseg.system.errors import UserError
from mandseg.tracking.wandb_run import key_is_configured, wandb_client

PATIENCE_S = 10  # seconds


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
