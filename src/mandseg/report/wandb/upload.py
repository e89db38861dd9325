"""The W&B run of a study: the pooled cases, and the curves, figures and files of the report, always under one id."""

import contextlib
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from mandseg.metrics.catalogue import SCORES
from mandseg.report.folder import SHARED
from mandseg.report.outside import outside_study
from mandseg.report.settings import StudySettings
from mandseg.runs.study import Study
from mandseg.statistics.columns import ARM, CONDITION, RATIO_COLUMN, USUAL
from mandseg.system.errors import UserError
from mandseg.system.files import write_text
from mandseg.system.wording import typed
from mandseg.tracking.client import (
    RATIO_AXIS,
    client_settings,
    finish_in_time,
    init_run,
    media_table,
    wandb_client,
)
from mandseg.tracking.settings import TrackingSettings

if TYPE_CHECKING:
    import wandb

STATE = "wandb_study_run.json"  # in the study folder: the run's id, and a digest of what was sent last
JOB_TYPE = "study"
PANEL = "wandb/lineseries/v0"  # the line chart of W&B for a table
CURVES = f"{SHARED}/summary.csv"  # in the report
CURVE = ["dataset", "metric", RATIO_COLUMN, "mean", "low", "high"]
MOST_ROWS = 200_000  # of a table on W&B; the files of the report contain all
MOST_FIGURES = 40
INIT_TIMEOUT_S = 20.0
FINISH_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class StudyRun:
    """The content of the W&B run of a study.

    Attributes:
        name: Name of the study, of its run, and of the group of its trainings.
        settings: Project and entity, and what may be sent.
        counts: Number of runs by state.
        curves: The means of the report with their intervals: ``dataset, metric, noise_ratio, mean, low, high, arm``.
        cases: The scores of every case and run; None if a run withheld them.
        report: The folder of the report that may be sent; None if a run withheld cases or pictures.
    """

    name: str
    settings: TrackingSettings
    counts: Mapping[str, int]
    curves: pd.DataFrame
    cases: pd.DataFrame | None
    report: Path | None

    @property
    def digest(self) -> str:
        """A hash of everything that is sent."""
        digest = hashlib.sha256(json.dumps([self.name, dict(self.counts), self.settings.project]).encode())
        for table in (self.curves, self.cases):
            digest.update(b"" if table is None else table.to_csv(index=False).encode())
        for file in _files(self.report):
            digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()

    @property
    def figures(self) -> list[Path]:
        """The figures of the report, one file each (PNG, otherwise SVG), curves first."""
        files = [file for file in _files(self.report) if file.suffix in (".png", ".svg")]
        by_stem = {file.stem: file for file in sorted(files, key=lambda file: file.suffix, reverse=True)}
        return sorted(by_stem.values(), key=lambda file: ("curve" not in file.stem, file.stem))[:MOST_FIGURES]


def study_run(study: Study) -> StudyRun | str:
    """Collect the content of the W&B run of a study; or one line with the reason why nothing is sent."""
    settings, report = tracking_of(study), study.path.resolve() / "report"
    if not isinstance(settings, TrackingSettings):
        return settings
    if settings.mode == "disabled":
        return "a run was made with tracking=none"
    if not report.is_dir():
        return f"no report yet: mandseg report {typed(study.path)}"
    if not (report / CURVES).exists():
        return f"its report has no part that may be sent: mandseg report {typed(study.path)} without --by annotator"
    curves = _curves(report / CURVES)
    if curves is None:
        return f"its report compares no noise ratios: mandseg report {typed(study.path)}"
    columns = ["run", *CONDITION, "variant", "dataset", "case_id", "outcome", *SCORES]
    cases = outside_study(study).cases[columns].head(MOST_ROWS) if settings.case_table else None
    shows_cases = settings.case_table and settings.overlays
    return StudyRun(study.name, settings, study.counts(), curves, cases, report / SHARED if shows_cases else None)


def tracking_of(study: Study) -> TrackingSettings | str:
    """The strictest tracking settings of the trainings of a study; or one line if a run has no such settings."""
    settings = StudySettings(study)
    stated = [_tracking(settings, run) for run in settings.runs]
    if not stated:
        return "no run is done yet"
    if None in stated:
        return "the config.yaml of a run does not state what may be sent (the group tracking)"
    every: list[dict[str, Any]] = [one for one in stated if one]
    strict = {key: all(one[key] for one in every) for key in ("case_table", "overlays")}
    disabled = any(one["mode"] == "disabled" for one in every)
    return TrackingSettings(**{**every[-1], **strict, **({"mode": "disabled"} if disabled else {})})


def send(content: StudyRun, study_folder: Path, entity: str) -> None:
    """Send the run of a study, or update it.

    Raises:
        Exception: Any error of the client, within about ``INIT_TIMEOUT_S + FINISH_TIMEOUT_S``.
    """
    state = _state(study_folder)
    write_text(study_folder / STATE, json.dumps(state) + "\n")  # the id first: a repeated upload uses the same id
    wandb = wandb_client()
    wandb.teardown()  # the client restarts in the folder of the report, so it sends no local path
    try:
        with TemporaryDirectory(prefix="mandseg-") as own, contextlib.chdir(content.report or own):
            run = _start(content, state["id"], Path(own), entity)
            try:
                _log(run, content)
            except BaseException:
                finish_in_time(run, 1, FINISH_TIMEOUT_S)
                raise
            if (error := finish_in_time(run, 0, FINISH_TIMEOUT_S)) is not None:
                raise error
    finally:
        wandb.teardown()
    write_text(study_folder / STATE, json.dumps({**state, "sent": content.digest}) + "\n")


def was_sent(content: StudyRun, study_folder: Path) -> bool:
    """Whether exactly this content was sent."""
    return _state(study_folder).get("sent") == content.digest


def _start(content: StudyRun, run_id: str, folder: Path, entity: str) -> "wandb.Run":
    options = client_settings(
        INIT_TIMEOUT_S, FINISH_TIMEOUT_S, program="mandseg sync", x_disable_stats=True, x_graphql_retry_max=3
    )
    return init_run(
        options,
        project=content.settings.project,
        entity=content.settings.entity or entity,
        group=content.name,
        job_type=JOB_TYPE,
        name=content.name,
        tags=[JOB_TYPE],
        id=run_id,
        resume="allow",
        dir=str(folder),
        mode="online",
    )


def _log(run: "wandb.Run", content: StudyRun) -> None:
    wandb = wandb_client()
    run.summary.update({f"runs/{state}": count for state, count in content.counts.items()})
    shown: dict[str, Any] = {"curves": media_table(run, "curves", content.curves)}
    for metric, rows in content.curves.groupby("metric", sort=False):
        shown[f"curve/{metric}"] = _chart(run, str(metric), rows)
    if content.cases is not None:
        wandb.Table.MAX_ROWS = MOST_ROWS
        shown["cases"] = media_table(run, "cases", content.cases)
    for file in content.figures:
        picture = wandb.Image(str(file)) if file.suffix == ".png" else wandb.Html(file.read_text(encoding="utf-8"))
        shown[f"figures/{file.stem}"] = picture
    run.log(shown)
    if content.report is not None:
        artifact = wandb.Artifact(f"{content.name}-report", type="report")
        for file in _files(content.report):
            name = str(file.relative_to(content.report))
            artifact.add_file(name, name, policy="immutable")  # relative to the current folder, and not copied
        run.log_artifact(artifact)


def _chart(run: "wandb.Run", metric: str, rows: pd.DataFrame) -> Any:
    """Mean against noise ratio, one line for each data set (and arm)."""
    line = rows.dataset + ", " + rows.arm if rows.arm.nunique() > 1 else rows.dataset
    table = pd.DataFrame({RATIO_AXIS: rows[RATIO_COLUMN], "mean": rows["mean"], "line": line})
    chart = wandb_client().plot_table(
        PANEL,
        wandb_client().Table(dataframe=table),
        {"step": RATIO_AXIS, "lineKey": "line", "lineVal": "mean"},
        {"title": metric, "xname": "noise ratio"},
    )
    chart.table.bind_to_run(run, f"curve/{metric}_table", "final")  # as media: see media_table
    return chart


def _curves(file: Path) -> pd.DataFrame | None:
    """The means of whole data sets in the report; None if it does not compare noise ratios."""
    table = pd.read_csv(file, dtype=dict.fromkeys([*ARM, "group"], "str"))
    if not set(CURVE) <= set(table):
        return None
    whole = table[table["group"].isna()]
    parts = [whole[key].fillna("").replace(USUAL.get(key, ""), "") for key in ARM if key in whole]
    arm = [", ".join(filter(None, names)) for names in zip(*parts, strict=True)] if parts else ""
    return whole[CURVE].assign(arm=arm)


def _tracking(settings: StudySettings, run: str) -> dict[str, Any] | None:
    try:
        tracking = settings.of(run)["tracking"]
        return {key: tracking[key] for key in TrackingSettings.__dataclass_fields__}
    except (ValueError, KeyError, TypeError):
        return None


def _state(study_folder: Path) -> dict[str, str]:
    """The id of the run, made once, and the digest of the content that was sent.

    Raises:
        UserError: The file has other content, which is not replaced.
    """
    file = study_folder / STATE
    if not file.exists():
        return {"id": secrets.token_hex(8), "sent": ""}
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        return {"id": str(state["id"]), "sent": str(state.get("sent", ""))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: has content that mandseg sync did not write; move it away") from error


def _files(folder: Path | None) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
