"""The W&B workspace of a study: noise-ratio curves for each data set, learning curves, the report and a run comparer.

The content is written to a file in the study folder. The file is saved online, now or later. A saved workspace is
updated.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from mandseg.metrics.catalogue import METRICS, Metric, metric_named
from mandseg.report.folder import SHARED
from mandseg.report.wandb.upload import PANEL, tracking_of
from mandseg.runs.study import open_study
from mandseg.system.errors import UserError, one_line
from mandseg.system.files import write_text
from mandseg.system.wording import typed
from mandseg.tracking.client import (
    RATIO_AXIS,
    STEP_AXIS,
    Account,
    UnreachableError,
    key_is_configured,
    open_account,
    wandb_client,
)
from mandseg.tracking.settings import TrackingSettings

if TYPE_CHECKING:
    from wandb_workspaces import workspaces

log = logging.getLogger(__name__)
FILE = "dashboard.json"
OFFLINE = ("offline", "dryrun", "disabled")  # values of WANDB_MODE
NOT_CURVES = frozenset({"run", "noise_ratio", "seed", "step", "epoch"})  # columns that are not drawn
FEWEST_SHOWN = 100  # runs that a panel draws; the default limit of W&B is ten


@dataclass(frozen=True)
class Dashboard:
    """The content of a workspace, as written to ``dashboard.json``.

    Attributes:
        study: Name of the study and of the group of its runs.
        project: The W&B project.
        entity: W&B user or team; None for the key's default.
        datasets: The test data sets.
        metrics: Columns of the metrics that were measured.
        curves: Columns of the learning curves.
        figures: The figures of the report on W&B.
        max_runs: Number of runs that a panel draws.
        server: The server of the saved workspace; empty before.
        url: Its address there.
    """

    study: str
    project: str
    entity: str | None
    datasets: list[str]
    metrics: list[str]
    curves: list[str]
    figures: list[str]
    max_runs: int
    server: str = ""
    url: str = ""

    def write(self, file: Path) -> None:
        """Write the content to a file."""
        write_text(file, json.dumps(asdict(self), indent=1) + "\n")


def dashboard(path: Path) -> int:
    """Write the dashboard of a study, or read a written one, and save it online if there is a key; print the address.

    Args:
        path: A study folder, or a ``dashboard.json``.

    Returns:
        Exit code: 0, or 1 if the server could not be reached or refused it.
    """
    file = path if path.is_file() else write_dashboard(path)
    read_dashboard(file)
    if os.environ.get("WANDB_MODE") in OFFLINE or not key_is_configured():
        why = "no key, or WANDB_MODE is offline"
        print(f"{file}: not saved online ({why}); after `wandb login`: mandseg dashboard {typed(path)}")
        return 0
    try:
        print(save_dashboard(file, open_account()))
    except UnreachableError as error:
        print(f"mandseg: {error}; kept as {file}, try again later", file=sys.stderr)
        return 1
    return 0


def write_dashboard(study_folder: Path) -> Path:
    """Write the content of the workspace of a study; the address of an earlier one is kept.

    Raises:
        UserError: No study, no done run that may be seen on W&B, wandb-workspaces is not installed, or the file has
            other content.
    """
    study = open_study(study_folder)
    settings = tracking_of(study)
    if not isinstance(settings, TrackingSettings):
        raise UserError(f"study {study_folder}: no dashboard, {settings}")
    if settings.mode == "disabled":
        raise UserError(f"study {study_folder}: no dashboard, a run was made with tracking=none")
    _library()
    file = study_folder / FILE
    if file.exists() and not _is_own(file):
        raise UserError(f"{file}: mandseg dashboard would replace it, and did not write it; move it away")
    made = Dashboard(
        study=study.name,
        project=settings.project,
        entity=settings.entity,
        datasets=[str(name) for name in dict.fromkeys(study.cases.dataset)],
        metrics=[metric.column for metric in METRICS if study.cases[metric.column].notna().any()],
        curves=[str(column) for column in study.learning_curves if column not in NOT_CURVES],
        figures=sorted({file.stem for file in (study.path / "report" / SHARED).rglob("*.svg")}),
        max_runs=max(FEWEST_SHOWN, len(study.ledger) + 1),
    )
    try:
        earlier = read_dashboard(file)
    except UserError:
        earlier = made  # there is none, or it is of an older version
    replace(made, server=earlier.server, url=earlier.url).write(file)
    return file


def read_dashboard(file: Path) -> Dashboard:
    """Read a written dashboard.

    Raises:
        UserError: The file cannot be read, or has other content.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"dashboard {file}: cannot be read ({one_line(error)})") from error
    kinds = get_type_hints(Dashboard)
    needed = set(kinds) - {"server", "url"}
    if not isinstance(content, dict) or not needed <= set(content) <= set(kinds):
        raise UserError(f"dashboard {file}: has no dashboard; mandseg dashboard STUDY writes one")
    if not all(_has_kind(value, kinds[key]) for key, value in content.items()):
        raise UserError(f"dashboard {file}: has no dashboard; mandseg dashboard STUDY writes one")
    return Dashboard(**content)


def _is_own(file: Path) -> bool:
    """Whether a file is a dashboard of this or of an earlier version."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"entity", "project"} <= set(content)


def _has_kind(value: object, kind: Any) -> bool:
    if kind == list[str]:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, kind) and not isinstance(value, bool)


def save_dashboard(file: Path, account: Account) -> str:
    """Save a written dashboard on the server; an earlier one on the same server is updated.

    Returns:
        Its address.

    Raises:
        UserError: The file has no dashboard.
        UnreachableError: The server refused it.
    """
    shown = read_dashboard(file)
    try:
        workspace: Any = _workspace(shown, account)
        workspace.save()
        url = str(workspace.url)
    except Exception as error:
        raise UnreachableError(f"W&B: {account.server} did not save the dashboard ({one_line(error)})") from error
    replace(shown, server=account.server, url=url).write(file)
    return url


def _workspace(shown: Dashboard, account: Account) -> "workspaces.Workspace":
    """The workspace to save: the one on this server with the new content, otherwise a new one."""
    ws, _ = _library()
    new: workspaces.Workspace = ws.Workspace(
        entity=shown.entity or account.entity,
        project=shown.project,
        name=f"mandseg: {shown.study}",
        sections=[ws.Section(name=name, panels=panels, is_open=is_open) for name, panels, is_open in _sections(shown)],
        settings=ws.WorkspaceSettings(max_runs=shown.max_runs),
        runset_settings=ws.RunsetSettings(
            filters=f'Metric("Group") == {json.dumps(shown.study)}',
            pinned_columns=[f"config:{key}" for key in (RATIO_AXIS, "seed")],
        ),
    )
    if not shown.url or shown.server != account.server:
        return new
    try:
        known: workspaces.Workspace = ws.Workspace.from_url(shown.url)
    except ValueError:
        log.info("W&B: the dashboard was deleted online; a new one is made")
        return new
    known.sections, known.settings, known.runset_settings = new.sections, new.settings, new.runset_settings
    return known


def _sections(shown: Dashboard) -> Iterator[tuple[str, list[Any], bool]]:
    """Names and panels of the sections: all data sets, each data set, learning curves, report, run comparer."""
    _, wr = _library()
    metrics = [metric_named(column) for column in shown.metrics]
    yield "Noise ratio, all data sets", [_pooled_curve(metric) for metric in metrics], True
    for dataset in shown.datasets:
        panels = [_curve(shown, dataset, metric) for metric in metrics]
        yield f"Noise ratio, {dataset}", [*panels, _trainings(dataset, metrics[0])], True
    if shown.curves:
        yield (
            "Learning curves",
            [_lines(shown, name, STEP_AXIS, RATIO_AXIS, title=name) for name in shown.curves],
            False,
        )
    if shown.figures:
        figures = [wr.MediaBrowser(title=name, media_keys=[f"figures/{name}"]) for name in shown.figures]
        yield "Report", figures, False
    yield "Runs", [wr.RunComparer(diff_only="split")], False


def _lines(shown: Dashboard, y: str, x: str, group_by: str, **titles: str) -> Any:
    """A line for each group of runs: the mean, with the range as a band."""
    _, wr = _library()
    return wr.LinePlot(
        x=x,
        y=[y],
        groupby=wr.Config(group_by),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=shown.max_runs,
        **titles,
    )


def _curve(shown: Dashboard, dataset: str, metric: Metric) -> Any:
    """The noise-ratio curve of a data set, with a line for each arm."""
    y_title = f"{metric.label} ({metric.unit})" if metric.unit else metric.label
    titles = {"title": f"{metric.label}, {dataset}", "title_x": "noise ratio", "title_y": y_title}
    return _lines(shown, f"{dataset}/{metric.column}", RATIO_AXIS, "arm", **titles)


def _trainings(dataset: str, metric: Metric) -> Any:
    """One point for each training."""
    _, wr = _library()
    return wr.ScatterPlot(
        title=f"{metric.label}, {dataset}: every training",
        x=wr.Config(RATIO_AXIS),
        y=wr.SummaryMetric(f"{dataset}/{metric.column}"),
    )


def _pooled_curve(metric: Metric) -> Any:
    """The means of the report from the run of the study, with a line for each data set."""
    return _library()[1].CustomChart(
        query={"summaryTable": {"tableKey": f"curve/{metric.column}_table"}},
        chart_name=PANEL,
        chart_fields={"step": RATIO_AXIS, "lineKey": "line", "lineVal": "mean"},
        chart_strings={"title": metric.label, "xname": "noise ratio"},
    )


def _library() -> tuple[Any, Any]:
    """``workspaces`` and ``reports.v2`` of wandb-workspaces, imported only for a dashboard."""
    wandb_client()
    try:
        from wandb_workspaces import workspaces
        from wandb_workspaces.reports import v2
    except ImportError as error:
        raise UserError(f"a dashboard needs wandb-workspaces ({error}): pip install 'mandseg[dashboard]'") from error
    return workspaces, v2
