"""The settings of tracking, and whether it is online."""

import logging
import os
from dataclasses import dataclass
from typing import Literal

from mandseg.system.errors import UserError
from mandseg.tracking.client import key_is_configured

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]

MODES: tuple[Mode, ...] = ("online", "offline", "disabled")


@dataclass(frozen=True)
class TrackingSettings:
    """What to send to Weights & Biases, and how long to wait for it (the group conf/tracking).

    Args:
        mode: ``auto``, ``online``, ``offline`` or ``disabled``; ``auto`` is WANDB_MODE if set, else online when a key
            is configured, else offline.
        project: W&B project.
        entity: W&B user or team; None for the key's default.
        case_table: Whether to send the scores per case, which name the cases.
        overlays: Whether to send pictures of validation cases, which show patients.
        init_timeout_s: How long to wait for the server at the start of a run.
        finish_timeout_s: How long to wait for uploads at the end of a run.
    """

    mode: str
    project: str
    entity: str | None
    case_table: bool
    overlays: bool
    init_timeout_s: float
    finish_timeout_s: float

    def __post_init__(self) -> None:
        if self.mode not in ("auto", *MODES):
            raise UserError(f"tracking.mode={self.mode}: expected one of {', '.join(('auto', *MODES))}")


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
    if key_is_configured():
        return "online"
    if asked == "online":
        log.warning("W&B: online was asked for but no key is configured (wandb login); recording offline")
    return "offline"
