"""The settings of tracking, and the choice between online, offline and disabled."""

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
    """What is sent to Weights & Biases, and the time limits (the group conf/tracking).

    Args:
        mode: ``auto``, ``online``, ``offline`` or ``disabled``; for ``auto`` see :func:`resolve_mode`.
        project: W&B project.
        entity: W&B user or team; None for the key's default.
        case_table: Whether to send the scores per case, which name the cases.
        overlays: Whether to send pictures of validation cases, which show patients.
        init_timeout_s: Longest wait for the server at the start of a run, in seconds.
        finish_timeout_s: Longest wait for uploads at the end of a run, in seconds.
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
    """Choose between online, offline and disabled. The user is not asked.

    Args:
        mode: One of ``MODES``, or ``auto``: WANDB_MODE if set, otherwise online with a key and offline
            without one.
    """
    requested = (os.environ.get("WANDB_MODE") or "auto") if mode == "auto" else mode
    if requested == "dryrun":  # the old name
        requested = "offline"
    for known in MODES:
        if requested == known != "online":
            return known
    if requested not in ("auto", "online"):
        raise UserError(f"WANDB_MODE={requested}: expected one of {', '.join(MODES)}")
    if key_is_configured():
        return "online"
    if requested == "online":
        log.warning("W&B: mode online, but no key is configured (wandb login); recording offline")
    return "offline"
