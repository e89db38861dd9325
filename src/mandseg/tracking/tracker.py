"""What a run shows while it trains: its learning curve on disk, always, and a mirror of it on Weights & Biases.

Settings and numbers flow in, nothing flows back: no result depends on W&B, and whatever fails there costs a run seconds
and a line in its log. docs/tracking.md says what is sent.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from mandseg.system.config_paths import home_folder
from mandseg.tracking.recordings import recordings, waiting
from mandseg.tracking.settings import TrackingSettings, resolve_mode
from mandseg.tracking.wandb_run import Mirror, open_mirror

if TYPE_CHECKING:
    import pandas as pd
    from lightning.pytorch.loggers.logger import Logger

LONGEST_TAG = 64  # characters, W&B's limit
ARM = ("data", "noise", "model", "method")  # of a condition: runs that differ in nothing of it share a curve


class Tracker:
    """What training reports to: Lightning's loggers, and the pictures and final results of the mirror."""

    def __init__(
        self, loggers: "Sequence[Logger]", mirror: Mirror | None = None, noise_ratio: float | None = None
    ) -> None:
        self.loggers = list(loggers)
        self._mirror = mirror
        self._noise_ratio = noise_ratio

    def log_overlays(self, step: int, paths: Sequence[Path]) -> None:
        """Show pictures at a step, each under its file's stem, so that one panel follows one case over the training."""
        mirror = self._mirror
        if mirror is not None and mirror.settings.overlays and paths:
            mirror.attempt("log the overlays", lambda: mirror.log_pictures(step, paths))

    def log_results(self, cases: "pd.DataFrame") -> None:
        """Show the final scores: per data set the mean of every metric and the counts of outcomes, and the table.

        Args:
            cases: One row per data set and case: ``dataset``, ``case_id``, ``outcome``, and numbers.
        """
        mirror = self._mirror
        if mirror is None:
            return
        mirror.attempt("send the summary", lambda: mirror.log_scores(summary(cases), self._noise_ratio))
        if mirror.settings.case_table:
            mirror.attempt("send the case table", lambda: mirror.log_table("cases", cases))


@contextmanager
def tracked(
    settings: TrackingSettings,
    run_folder: Path,
    study: str,
    name: str,
    condition: Mapping[str, Any],
    config: Mapping[str, Any],
    curve: "Logger",
) -> Iterator[Tracker]:
    """Track the run that the block trains; on W&B it is finished when the block ends, as failed when it raised.

    Only rank 0 writes; the others get a tracker, too.

    Args:
        settings: The group conf/tracking.
        run_folder: Gets ``wandb_id`` and the folder ``wandb/``.
        study: Name of the study: the group on W&B.
        name: Name of the run.
        condition: What tells this run from the study's others: tags, and keys of the config on W&B.
        curve: What writes the learning curve; it is logged to whatever becomes of W&B.
        config: All settings; absolute paths are shortened to their last two parts before they are sent.
    """
    from lightning.pytorch.utilities import rank_zero_only

    mode = resolve_mode(settings.mode) if getattr(rank_zero_only, "rank", 0) == 0 else "disabled"
    mirror = open_mirror(settings, mode, run_folder, _described(study, name, condition, config))
    if mirror is None:
        yield Tracker([curve])
        return
    from mandseg.tracking.mirror_logger import MirrorLogger

    try:
        yield Tracker([curve, MirrorLogger(mirror)], mirror, condition.get("noise_ratio"))
    except BaseException:
        mirror.finish(exit_code=1)
        raise
    mirror.finish(exit_code=0)


def sync_hint(study_folder: Path) -> str | None:
    """Give the shell command that sends a study's recordings to W&B; None if there is nothing to send."""
    folders = {folder.parent for folder in study_folder.glob("*/wandb")}
    if any(waiting(recordings(folder)) for folder in folders):
        return f"mandseg sync {shlex.quote(str(study_folder))}"
    return None


def summary(cases: "pd.DataFrame") -> dict[str, float]:
    """Average every numeric column per data set, over all its cases, and count cases and outcomes.

    Returns:
        ``<dataset>/<column>``, ``<dataset>/cases``, ``<dataset>/missed`` and ``<dataset>/spurious``.
    """
    values: dict[str, float] = {}
    for dataset, rows in cases.groupby("dataset", sort=False):
        means = rows.select_dtypes("number").mean()
        values |= {f"{dataset}/{column}": float(mean) for column, mean in means.items()}
        values[f"{dataset}/cases"] = len(rows)
        for outcome in ("missed", "spurious"):
            values[f"{dataset}/{outcome}"] = int((rows["outcome"] == outcome).sum())
    return values


def without_folders(value: Any) -> Any:
    """Shorten each absolute path in nested settings to ``.../parent/name``, and never to a home folder's own name."""
    if isinstance(value, Mapping):
        return {str(key): without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if isinstance(value, str | Path):
        return _without_folders(str(value))
    return value


def _without_folders(text: str) -> str:
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute() or text.startswith("~"):
            return "/".join(("...", *_below_home(path)[-2:]))
    return text


def _below_home(path: PurePath) -> tuple[str, ...]:
    """The parts of a path below its root, or below the home folder that it is in: that holds a user's name."""
    home = home_folder()
    if len(home.parts) > 1 and path.parts[: len(home.parts)] == home.parts:
        return path.parts[len(home.parts) :]
    below = path.parts[1:]
    return below[2:] if below[:1] and below[0].lower() in ("home", "users") else below


def _described(
    study: str, name: str, condition: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, str | list[str] | dict[str, Any]]:
    told = without_folders(condition)
    tags = [f"{key}={value}"[:LONGEST_TAG] for key, value in told.items()]
    arm = ", ".join(str(told[key]) for key in ARM if key in told)
    return {"group": study, "name": name, "tags": tags, "config": {**without_folders(config), **told, "arm": arm}}
