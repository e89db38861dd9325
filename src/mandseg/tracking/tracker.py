"""Tracking of a run: its learning curve on disk, always, and a copy on Weights & Biases.

W&B is write-only: no result depends on it. A failure there costs a run seconds and a line in its log.
docs/tracking.md lists what is sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mandseg.system.wording import typed
from mandseg.tracking.recordings import recordings, waiting
from mandseg.tracking.redaction import without_folders
from mandseg.tracking.settings import TrackingSettings, resolve_mode

if TYPE_CHECKING:
    import pandas as pd
    from lightning.pytorch.loggers.logger import Logger

    from mandseg.tracking.wandb_run import WandbRun

LONGEST_TAG = 64  # characters, W&B's limit
VARIES = ("noise_ratio", "seed", "config_hash")  # they vary within an arm; runs that differ only in them share a curve


class Tracker:
    """Receives the output of a training: through Lightning's loggers, and pictures and final results for W&B."""

    def __init__(
        self, loggers: "Sequence[Logger]", wandb_run: "WandbRun | None" = None, noise_ratio: float | None = None
    ) -> None:
        self.loggers = list(loggers)
        self._wandb_run = wandb_run
        self._noise_ratio = noise_ratio

    def log_overlays(self, step: int, paths: Sequence[Path]) -> None:
        """Log pictures at a step, each under the stem of its file, so that one panel shows one case over time."""
        wandb_run = self._wandb_run
        if wandb_run is not None and wandb_run.settings.overlays and paths:
            wandb_run.try_to("log the overlays", lambda: wandb_run.log_pictures(step, paths))

    def log_results(self, cases: "pd.DataFrame") -> None:
        """Log the final scores: for each data set the mean of every metric and the counts of outcomes, and the table.

        Args:
            cases: One row per data set and case: ``dataset``, ``case_id``, ``outcome``, and numbers.
        """
        wandb_run = self._wandb_run
        if wandb_run is None:
            return
        wandb_run.try_to("send the summary", lambda: wandb_run.log_scores(summary(cases), self._noise_ratio))
        if wandb_run.settings.case_table:
            wandb_run.try_to("send the case table", lambda: wandb_run.log_table("cases", cases))


@contextmanager
def tracking_run(
    settings: TrackingSettings,
    run_folder: Path,
    study: str,
    name: str,
    condition: Mapping[str, Any],
    config: Mapping[str, Any],
    curve: "Logger",
) -> Iterator[Tracker]:
    """Track the run that is trained in the block. On W&B it ends with the block, as failed if the block raised.

    Only rank 0 writes. The other ranks also get a tracker.

    Args:
        settings: The group conf/tracking.
        run_folder: Gets ``wandb_id`` and the folder ``wandb/``.
        study: Name of the study: the group on W&B.
        name: Name of the run.
        condition: The condition of the run: tags, and keys of the config on W&B.
        curve: The logger of the learning curve. It is used also if W&B fails.
        config: All settings. Paths are reduced to file names before they are sent.
    """
    from lightning.pytorch.utilities import rank_zero_only

    mode = resolve_mode(settings.mode) if getattr(rank_zero_only, "rank", 0) == 0 else "disabled"
    if mode == "disabled":
        yield Tracker([curve])
        return
    from mandseg.tracking.wandb_run import WandbRunLogger, start_wandb_run

    wandb_run = start_wandb_run(settings, mode, run_folder, description(study, name, condition, config))
    if wandb_run is None:
        yield Tracker([curve])
        return
    try:
        yield Tracker([curve, WandbRunLogger(wandb_run)], wandb_run, condition.get("noise_ratio"))
    except BaseException:
        wandb_run.finish(exit_code=1)
        raise
    wandb_run.finish(exit_code=0)


def sync_hint(study_folder: Path) -> str | None:
    """The shell command that sends the recordings of a study to W&B; None if there is nothing to send."""
    folders = {folder.parent for folder in study_folder.glob("*/wandb")}
    if any(waiting(recordings(folder)) for folder in folders):
        return f"mandseg sync {typed(study_folder)}"
    return None


def summary(cases: "pd.DataFrame") -> dict[str, float]:
    """For each data set: mean of every numeric column over all cases, and counts of cases and outcomes.

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


def description(
    study: str, name: str, condition: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, str | list[str] | dict[str, Any]]:
    """Group, name and tags of a run on W&B, and its settings without folders and annotators."""
    sent = without_folders(condition)
    tags = [f"{key}={value}"[:LONGEST_TAG] for key, value in sent.items()]
    arm = ", ".join(str(value) for key, value in sent.items() if key not in VARIES)
    return {"group": study, "name": name, "tags": tags, "config": {**without_folders(config), **sent, "arm": arm}}
