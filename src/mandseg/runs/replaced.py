"""A run whose images or labels have changed: it is refused, or it is kept under another name and repeated."""

import logging
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from omegaconf import DictConfig

from mandseg.runs.folder import CASES, CONSOLE, HYDRA, LAUNCH, LOCK, LOG, PREDICTIONS, RECORD, SLURM
from mandseg.runs.origin import TRAINED, changes, content_or_none
from mandseg.runs.ownership import OwnedRun

log = logging.getLogger(__name__)

REPLACED = "replaced"  # folder in the study's
STAYS = (LOCK, CONSOLE, LOG, HYDRA)  # files of the new start, or open files
STAYS_PREFIXES = (LAUNCH, SLURM)


def outdated(cfg: DictConfig, owned: OwnedRun) -> str:
    """Check whether a run was made from the present images and labels.

    With ``rerun=true``, the files of an earlier start are moved to ``<study>/replaced/<run>-<time>``; nothing is
    deleted. If only data sets of the test changed, the training stays and the run is tested again. A run that is not
    done is checked only with ``rerun=true``; otherwise it compares its content when it resumes.

    Returns:
        Empty if the run may continue; otherwise one line with the reason.
    """
    is_over = owned.record.get("state") == "done"
    if "content" not in owned.record or not (is_over or cfg.rerun):
        return ""
    now = content_or_none(cfg) or {}
    differing = changes(owned.record["content"], now, None if is_over else TRAINED)
    if differing and not cfg.rerun:
        return changed_line(owned.folder.name, differing)
    if differing:
        is_trained_again = bool(changes(owned.record["content"], now, TRAINED))
        dest = keep_run(owned) if is_trained_again else keep_scores(owned)
        how, what = ("trained", "run") if is_trained_again else ("tested", "scores")
        why = "; ".join(differing)
        log.warning("%s: %s again (%s); the old %s: %s", owned.folder.name, how, why, what, dest)
    return ""


def changed_line(run: str, differing: Sequence[str]) -> str:
    """The message about a done run whose images or labels changed."""
    return (
        f"run {run}: done on other images or labels ({'; '.join(differing)}); rerun=true repeats it and keeps the "
        "old folder, or choose another study="
    )


def keep_scores(owned: OwnedRun) -> Path:
    """Move the scores and predictions of a run away, with a copy of its record, so that it is tested again.

    Returns:
        Their new folder.
    """
    dest = _new_folder(owned)
    shutil.copy2(owned.folder / RECORD, dest)
    for name in (CASES, PREDICTIONS):
        if (owned.folder / name).exists():
            (owned.folder / name).rename(dest / name)
    return dest


def _new_folder(owned: OwnedRun) -> Path:
    dest = owned.folder.parent / REPLACED / f"{owned.folder.name}-{datetime.now():%Y%m%d-%H%M%S-%f}"
    dest.mkdir(parents=True)
    return dest


def keep_run(owned: OwnedRun) -> Path:
    """Move the files of an earlier start out of a run folder, run.json last, and begin a new record.

    Returns:
        Their new folder.
    """
    dest = _new_folder(owned)
    left = [p for p in owned.folder.iterdir() if p.name not in STAYS and not p.name.startswith(STAYS_PREFIXES)]
    for path in sorted(left, key=lambda path: path.name == RECORD):
        path.rename(dest / path.name)
    owned.record = {key: owned.record[key] for key in ("run", "study", "condition")}
    return dest
