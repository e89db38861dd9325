"""A study folder -> report/: index.html that needs nothing else, figures, and the same numbers as CSV."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from mandseg import figures, findings
from mandseg.errors import UserError
from mandseg.files import folder_appearing_whole
from mandseg.margins import MARGIN_SOURCES, MARGINS, METRICS, Margins
from mandseg.per_case import means_by_seed
from mandseg.results import Difference, Mean, as_table
from mandseg.statistics import Analysis, analyse
from mandseg.study import ARM, Study, open_study

OWN_FILES = {"index.html", "summary.csv", "differences.csv", "cases.csv", "figures"}
PICTURE_WIDTH = 1100  # pixels
LISTED_MISSES = 60
CURVES = {"train_loss": "Training loss", "val_dice": "Validation Dice"}


@dataclass(frozen=True)
class Drawing:
    """One figure of the page: the name of its file, its SVG, what it shows."""

    name: str
    svg: Markup
    caption: str


@dataclass(frozen=True)
class Picture:
    """The worst case of a data set at a ratio, as the run that made it drew it."""

    source: str  # data URI
    caption: str


@dataclass(frozen=True)
class Part:
    """What the page says about one arm: one cohort, noise, model and method."""

    title: str
    analysis: Analysis
    curves: Sequence[Drawing]
    differences: Sequence[Drawing]
    learning: Sequence[Drawing]
    pictures: Sequence[Picture]
    misses: pd.DataFrame
    margins: Margins

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets in the order of the runs."""
        return list(dict.fromkeys(row.dataset for row in self.analysis.means))

    @property
    def ratios(self) -> list[float]:
        """The ratios that were scored, ascending."""
        return sorted({row.noise_ratio for row in self.analysis.means})

    def notes(self, rows: Sequence[Mean] | Sequence[Difference]) -> list[str]:
        """Each word of caution once, with the ratios it belongs to, and the metrics where it is not for all."""
        ratios: dict[tuple[str, str], set[float]] = {}
        for note in dict.fromkeys(note for row in rows for note in row.notes):
            own = [row for row in rows if note in row.notes]
            metrics = {row.metric for row in own}
            named = [metric.label for metric in METRICS if metric.column in metrics]
            which = f" ({', '.join(named)})" if metrics < {row.metric for row in rows} else ""
            ratios[note, which] = {row.noise_ratio for row in own}
        return [
            f"Ratio {', '.join(f'{r:g}' for r in sorted(r))}{which}: {note}." for (note, which), r in ratios.items()
        ]


def write_report(study: Path, out: Path | None = None, margins: Margins = MARGINS) -> Path:
    """Write the report of a study, whole or not at all; an earlier report is replaced.

    Args:
        study: The study folder.
        out: Folder of the report (default: ``report`` inside the study).
        margins: The loss that counts as no loss, per metric.

    Returns:
        Path of index.html.

    Raises:
        UserError: The study cannot be read, or ``out`` holds files that no report wrote.
    """
    folder = out or study / "report"
    _refuse_foreign_files(folder)
    opened = open_study(study)
    arms = list(_arms(opened.cases))
    analyses = [analyse(cases, margins) for _, cases in arms]
    with folder_appearing_whole(folder) as new:
        (new / "figures").mkdir()
        parts = [
            _part(opened, arm, cases, analysis, margins, new / "figures", index if len(arms) > 1 else None)
            for index, ((arm, cases), analysis) in enumerate(zip(arms, analyses, strict=True), start=1)
        ]
        (new / "index.html").write_text(_page(opened, parts), encoding="utf-8")
        _write_tables(new, opened, [arm for arm, _ in arms], analyses)
    return folder / "index.html"


def _refuse_foreign_files(folder: Path) -> None:
    """A report replaces its folder: say no where that would delete something else."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"report {folder}: is a file, expected a folder")
    foreign = sorted({file.name for file in folder.iterdir()} - OWN_FILES) if folder.is_dir() else []
    if foreign:
        raise UserError(f"report {folder}: holds {foreign[0]}, which is not a report's; choose an empty folder")


def _arms(cases: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    for names, rows in cases.groupby(ARM, sort=False):
        yield dict(zip(ARM, map(str, names), strict=True)), rows


def _part(
    study: Study,
    arm: dict[str, str],
    cases: pd.DataFrame,
    analysis: Analysis,
    margins: Margins,
    folder: Path,
    index: int | None,
) -> Part:
    prefix = f"arm{index}-" if index else ""
    runs = set(cases.run)
    learning = study.learning_curves
    own = learning[learning.run.isin(runs)] if len(learning) else learning
    return Part(
        title=", ".join(f"{name} {value}" for name, value in arm.items() if value),
        analysis=analysis,
        curves=list(_curve_drawings(analysis, cases, margins, folder, prefix)),
        differences=list(_difference_drawings(analysis, margins, folder, prefix)),
        learning=list(_learning_drawings(own, folder, prefix)),
        pictures=list(_worst_pictures(study.path, cases)),
        misses=_misses(cases),
        margins=margins,
    )


def _curve_drawings(
    analysis: Analysis, cases: pd.DataFrame, margins: Margins, folder: Path, prefix: str
) -> Iterator[Drawing]:
    table = as_table(analysis.means, Mean)
    for metric in METRICS:
        if table[table.metric == metric.column].empty:
            continue
        name, margin = f"{prefix}curve-{metric.column}", margins.of(metric)
        with figures.style(name):
            figure = figures.plot_curves(table, metric, margin, means_by_seed(cases, metric))
            caption = f"{metric.label}: mean over cases with 95 % interval; grey points are single trainings."
            if margin is not None and 0.0 in set(table.noise_ratio):
                caption += f" Green band: at most {f'{margin:g} {metric.unit}'.strip()} worse than at ratio 0."
            yield _drawing(figure, name, caption, folder)


def _difference_drawings(analysis: Analysis, margins: Margins, folder: Path, prefix: str) -> Iterator[Drawing]:
    table = as_table(analysis.differences, Difference)
    for metric in METRICS:
        if table[(table.metric == metric.column) & table.difference.notna()].empty:
            continue
        name = f"{prefix}difference-{metric.column}"
        with figures.style(name):
            ax = figures.plot_differences(table, metric, margins.of(metric))
            caption = f"{metric.label}: the same cases and seeds, each ratio minus ratio 0, with 95 % interval."
            yield _drawing(_figure_of(ax), name, caption, folder)


def _learning_drawings(curves: pd.DataFrame, folder: Path, prefix: str) -> Iterator[Drawing]:
    for column, label in CURVES.items():
        if column not in curves or curves[column].dropna().empty:
            continue
        name = f"{prefix}learning-{column}"
        with figures.style(name):
            ax = figures.plot_learning_curves(curves, column, label)
            yield _drawing(_figure_of(ax), name, f"{label}: mean over seeds; the band is their range.", folder)


def _figure_of(ax: Any) -> Figure:
    return ax.figure  # type: ignore[no-any-return]


def _drawing(figure: Figure, name: str, caption: str, folder: Path) -> Drawing:
    return Drawing(name, Markup(figures.save(figure, folder / name)), caption)


def _worst_pictures(study: Path, cases: pd.DataFrame) -> Iterator[Picture]:
    """For each data set and ratio the picture of the case with the lowest Dice, of those that a run drew."""
    order = {name: place for place, name in enumerate(cases.dataset.drop_duplicates())}
    for _, rows in cases.groupby([cases.dataset.map(order), "noise_ratio"]):
        for row in rows.sort_values("dice").to_dict("records"):
            file = study / str(row["run"]) / "overlays" / f"{row['dataset']}--{row['case_id']}.png"
            if source := _embedded(file):
                yield Picture(source, _picture_caption(row))
                break


def _picture_caption(row: dict[Any, Any]) -> str:
    scores = [
        f"{metric.label} {findings.number(row[metric.column], metric.decimals)} {metric.unit}".strip()
        for metric in METRICS[:3]
        if pd.notna(row[metric.column])
    ]
    outcome = "" if row["outcome"] == "scored" else f"{row['outcome']}; "
    place = f"{row['dataset']}, noise ratio {row['noise_ratio']:g}, seed {row['seed']:g}: case {row['case_id']}"
    return f"{place}. {outcome}{', '.join(scores)}"


def _embedded(file: Path) -> str | None:
    """A picture as a data URI, small enough for a light page; None where there is none that can be read."""
    try:
        with Image.open(file) as image:
            picture = image.convert("RGB")
    except (FileNotFoundError, UnidentifiedImageError, OSError):
        return None
    picture.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()


def _misses(cases: pd.DataFrame) -> pd.DataFrame:
    """Missed and spurious predictions, one row per data set, case and ratio with the seeds."""
    rows = cases[cases.outcome.isin(["missed", "spurious"])]
    grouped = rows.groupby(["dataset", "noise_ratio", "case_id", "outcome"], sort=False).seed
    return grouped.agg(lambda seeds: ", ".join(f"{seed:g}" for seed in sorted(seeds))).reset_index()


def _write_tables(folder: Path, study: Study, arms: Sequence[dict[str, str]], analyses: Sequence[Analysis]) -> None:
    means = [as_table(analysis.means, Mean).assign(**arm) for arm, analysis in zip(arms, analyses, strict=True)]
    differences = [
        as_table(analysis.differences, Difference).assign(**arm) for arm, analysis in zip(arms, analyses, strict=True)
    ]
    _stacked(means, as_table([], Mean)).to_csv(folder / "summary.csv", index=False)
    _stacked(differences, as_table([], Difference)).to_csv(folder / "differences.csv", index=False)
    study.cases.to_csv(folder / "cases.csv", index=False)


def _stacked(tables: Sequence[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True) if full else empty


def _page(study: Study, parts: Sequence[Part]) -> str:
    environment = Environment(
        loader=PackageLoader("mandseg"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        number=findings.number,
        span=findings.span,
        p_value=findings.p_value,
        headline=findings.headline,
        sentences=findings.sentences,
        metrics={metric.column: metric for metric in METRICS},
        margin_sources=MARGIN_SOURCES,
        listed_misses=LISTED_MISSES,
    )
    return environment.get_template("report.html.j2").render(
        study=study,
        counts=study.counts(),
        parts=parts,
        open_runs=study.ledger[study.ledger.state != "done"].to_dict("records"),
        runs=_without_nan(study.ledger),
        cost=_cost_by_ratio(study.ledger),
        settings=_settings(study),
        versions=_versions(study),
    )


def _without_nan(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _cost_by_ratio(ledger: pd.DataFrame) -> list[dict[Any, Any]]:
    """Mean seconds per phase and run of the done runs, by ratio."""
    done = ledger[ledger.state == "done"]
    phases = ["prepare_s", "train_s", "evaluate_s"]
    numbers = done.assign(**{phase: pd.to_numeric(done[phase], errors="coerce") for phase in phases})
    by_ratio = numbers.groupby("noise_ratio")[phases].mean()
    return _without_nan(by_ratio.assign(n_runs=numbers.groupby("noise_ratio").size()).reset_index())


def _settings(study: Study) -> dict[str, str]:
    """Each setting with its values over the done runs: one, or those that differ."""
    values: dict[str, dict[str, None]] = {}
    for run in study.ledger.run[study.ledger.state == "done"]:
        for key, value in _flat(_config(study.path / str(run) / "config.yaml")):
            values.setdefault(key, {})[value] = None
    return {key: " | ".join(seen) for key, seen in values.items()}


def _config(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {"config.yaml": "cannot be read"}


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as ``group.key``, text."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, "none" if value is None else str(value)


def _versions(study: Study) -> dict[str, str]:
    """Each package with its versions over the done runs."""
    seen: dict[str, dict[str, None]] = {}
    for run in study.ledger.run[study.ledger.state == "done"]:
        for name, version in (study.records[str(run)].get("versions") or {}).items():
            seen.setdefault(str(name), {})[str(version)] = None
    return {name: ", ".join(versions) for name, versions in seen.items()}
