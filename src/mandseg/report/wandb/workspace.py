"""A study -> a W&B workspace: noise-ratio curves for each data set, learning curves, the report and a run comparer.

It is written to a file in the study and saved online from there, now or later; once saved, it is updated.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mandseg.metrics.catalogue import METRICS, Metric
from mandseg.report.wandb.upload import PANEL, tracking_of
from mandseg.runs.study import Study, open_study
from mandseg.system.errors import UserError, one_line
from mandseg.system.files import write_text
from mandseg.tracking.client import Account, UnreachableError, key_is_configured, open_account, wandb_client
from mandseg.tracking.settings import TrackingSettings
from mandseg.tracking.wandb_run import RATIO_AXIS, STEP_AXIS

if TYPE_CHECKING:
    from wandb_workspaces import workspaces

FILE = "dashboard.json"
OFFLINE = ("offline", "dryrun", "disabled")  # values of WANDB_MODE
NOT_CURVES = frozenset({"run", "noise_ratio", "seed", "step", "epoch"})  # columns of learning curves that are no curve
FEWEST_SHOWN = 100  # runs that a panel draws; W&B's own limit of ten hides most of a study


def dashboard(path: Path) -> int:
    """Write a study's dashboard, or take one that is written, and save it online if there is a key; say which.

    Args:
        path: A study folder, or a ``dashboard.json``.

    Returns:
        Exit code: 0, or 1 if the server could not be reached or refused it.
    """
    file = path if path.is_file() else write_dashboard(path)
    if os.environ.get("WANDB_MODE") in OFFLINE or not key_is_configured():
        why = "no key, or WANDB_MODE says offline"
        print(f"{file}: not saved online ({why}); after `wandb login`: mandseg dashboard {path}")
        return 0
    try:
        print(save_dashboard(file, open_account()))
    except UnreachableError as error:
        print(f"mandseg: {error}; kept as {file}, try again later", file=sys.stderr)
        return 1
    return 0


def write_dashboard(study_folder: Path) -> Path:
    """Write the workspace of a study to ``dashboard.json``; an earlier one's place on the server is kept.

    Raises:
        UserError: No study, no done run that may be seen on W&B, or wandb-workspaces is not installed.
    """
    study = open_study(study_folder)
    settings = tracking_of(study)
    if not isinstance(settings, TrackingSettings):
        raise UserError(f"study {study_folder}: no dashboard, {settings}")
    if settings.mode == "disabled":
        raise UserError(f"study {study_folder}: no dashboard, a run was made with tracking=none")
    file = study_folder / FILE
    known = _read(file) if file.exists() else {}
    view = _workspace(study, settings)._to_model()  # the library has no public way to write one down
    plain = view.model_dump(mode="json", by_alias=True, exclude_none=True)
    kept = {key: known[key] for key in ("server", "entity", "id", "name") if key in known}
    write_text(file, json.dumps({**plain, **kept}, indent=1) + "\n")
    return file


def save_dashboard(file: Path, account: Account) -> str:
    """Save a written workspace on the server, in the place it was saved to before if it was.

    Returns:
        Its address.

    Raises:
        UserError: The file holds no workspace.
        UnreachableError: The server refused it.
    """
    plain = _read(file)
    internal = _library()[2]
    entity = plain["entity"] or account.entity
    if plain.get("server") != account.server:  # written offline, or saved elsewhere
        plain |= {"server": account.server, "id": "", "name": internal._generate_view_name()}
    view = internal.View.model_validate({**plain, "entity": entity})
    try:
        saved = internal.upsert_view2(view)["upsertView"]["view"]
    except Exception as error:
        raise UnreachableError(f"W&B: {account.server} did not save the dashboard ({one_line(error)})") from error
    write_text(file, json.dumps({**plain, "id": saved["id"], "name": saved["name"]}, indent=1) + "\n")
    shown = internal._internal_name_to_url_query_str(saved["name"])
    return f"{wandb_client().setup().settings.app_url}/{entity}/{plain['project']}?nw={shown}"


def _workspace(study: Study, settings: TrackingSettings) -> "workspaces.Workspace":
    ws = _library()[0]
    workspace: workspaces.Workspace = ws.Workspace(
        entity=settings.entity or "",
        project=settings.project,
        name=f"mandseg: {study.name}",
        sections=[
            ws.Section(name=name, panels=panels, is_open=is_open)
            for name, panels, is_open in _sections(study)
            if panels
        ],
        settings=ws.WorkspaceSettings(max_runs=_shown(study)),
        runset_settings=ws.RunsetSettings(
            filters=f'Metric("Group") == {json.dumps(study.name)}',
            pinned_columns=[f"config:{key}" for key in (RATIO_AXIS, "seed")],
        ),
    )
    return workspace


def _sections(study: Study) -> Iterator[tuple[str, list[Any], bool]]:
    """Names and panels: all data sets in one panel, each by itself, learning, the report's figures, the comparer."""
    wr = _library()[1]
    metrics = [metric for metric in METRICS if study.cases[metric.column].notna().any()]
    yield "Noise ratio, all data sets", [_pooled_curve(metric) for metric in metrics], True
    for dataset in dict.fromkeys(study.cases.dataset):
        panels = [_curve(study, str(dataset), metric) for metric in metrics]
        yield f"Noise ratio, {dataset}", [*panels, _trainings(str(dataset), metrics[0])], True
    curves = [str(column) for column in study.learning_curves if column not in NOT_CURVES]
    yield "Learning curves", [_learning_curve(study, column) for column in curves], False
    figures = sorted({file.stem for file in (study.path / "report").rglob("*.svg")})
    yield "Report", [_figure(name) for name in figures], False
    yield "Runs", [wr.RunComparer(diff_only="split")], False


def _curve(study: Study, dataset: str, metric: Metric) -> Any:
    """Mean over seeds against noise ratio, the range of the seeds as a band; one line for each arm."""
    wr = _library()[1]
    return wr.LinePlot(
        title=f"{metric.label}, {dataset}",
        title_x="noise ratio",
        title_y=f"{metric.label} ({metric.unit})" if metric.unit else metric.label,
        x=RATIO_AXIS,
        y=[f"{dataset}/{metric.column}"],
        groupby=wr.Config("arm"),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=_shown(study),
    )


def _trainings(dataset: str, metric: Metric) -> Any:
    """Every training as a point of its own."""
    wr = _library()[1]
    return wr.ScatterPlot(
        title=f"{metric.label}, {dataset}: every training",
        x=wr.Config(RATIO_AXIS),
        y=wr.SummaryMetric(f"{dataset}/{metric.column}"),
    )


def _pooled_curve(metric: Metric) -> Any:
    """The report's means, one line for each data set, from the study's own run."""
    wr = _library()[1]
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": f"curve/{metric.column}_table"}},
        chart_name=PANEL,
        chart_fields={"step": RATIO_AXIS, "lineKey": "line", "lineVal": "mean"},
        chart_strings={"title": metric.label, "xname": "noise ratio"},
    )


def _learning_curve(study: Study, column: str) -> Any:
    """Mean over seeds for each noise ratio, the range of the seeds as a band."""
    wr = _library()[1]
    return wr.LinePlot(
        title=column,
        x=STEP_AXIS,
        y=[column],
        groupby=wr.Config(RATIO_AXIS),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=_shown(study),
    )


def _figure(name: str) -> Any:
    return _library()[1].MediaBrowser(title=name, media_keys=[f"figures/{name}"])


def _shown(study: Study) -> int:
    return max(FEWEST_SHOWN, len(study.ledger) + 1)


def _read(file: Path) -> dict[str, Any]:
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"dashboard {file}: cannot be read ({one_line(error)})") from error
    if not isinstance(plain, dict) or not {"entity", "project", "spec"} <= set(plain):
        raise UserError(f"dashboard {file}: holds no workspace")
    return plain


def _library() -> Sequence[Any]:
    """``workspaces``, ``reports.v2`` and the internals of wandb-workspaces, imported when a dashboard is asked for."""
    wandb_client()
    try:
        from wandb_workspaces import workspaces
        from wandb_workspaces.reports import v2
        from wandb_workspaces.workspaces import internal
    except ImportError as error:
        raise UserError(f"a dashboard needs wandb-workspaces ({error}): pip install 'mandseg[dashboard]'") from error
    return workspaces, v2, internal
