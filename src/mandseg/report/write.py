"""Write a report: read the run folders, analyse each arm, draw the figures, and write the whole folder or nothing."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mandseg.metrics.margins import Margins
from mandseg.report.audience import Audience
from mandseg.report.folder import FIGURE_TYPES, FOLDER, SHARED, checked_folder
from mandseg.report.methods import methods
from mandseg.report.outside import names_people, outside_section, outside_study
from mandseg.report.page import page
from mandseg.report.pdf import print_page
from mandseg.report.section import Section, build_section
from mandseg.report.settings import StudySettings
from mandseg.report.tables.means import matrix_table
from mandseg.report.tables.runs import study_tables
from mandseg.report.wording import level_name, without_tags
from mandseg.runs.folder import CASES
from mandseg.runs.origin import recorded_name
from mandseg.runs.study import Study, open_study
from mandseg.statistics.analysis import Analysis, analyse
from mandseg.statistics.columns import RATIO_COLUMN, is_worth_stating
from mandseg.statistics.comparison import (
    RATIO_COMPARISON,
    Arm,
    Comparison,
    Level,
    check_groups,
    choose_comparison,
    in_words,
    split_arms,
)
from mandseg.statistics.results import Contrast, Crossing, Difference, Mean, MixedCheck, Tolerance, as_table
from mandseg.system.errors import UserError
from mandseg.system.files import replaced_folder


def write_report(
    study: Path,
    out: Path | None = None,
    *,
    margins: Margins | None = None,
    compare: str = RATIO_COLUMN,
    baseline: Level | None = None,
    by: Sequence[str] = (),
    primary: str | None = None,
    pdf: bool = False,
    formats: Sequence[str] = (),
) -> Path:
    """Write the report of a study completely or not at all. An earlier report is replaced.

    Args:
        study: The study folder.
        out: Folder of the report (default: ``report`` inside the study, or ``report-<compare>``).
        margins: The largest tolerated loss, by metric (default: the declared ones).
        compare: The column whose levels are compared.
        baseline: The level that the others are compared with.
        by: Columns of the cases; each of their values is analysed as a group, too.
        primary: The metric of the finding (default: the declared one).
        pdf: Whether report.pdf is printed.
        formats: File types of the figures; SVG is always written.

    Returns:
        Path of index.html.

    Raises:
        UserError: The study cannot be read or compared, a file type is unknown, ``out`` contains files that no report
            wrote, or it cannot be written.
    """
    folder = checked_folder(study, out, compare, formats)
    opened = open_study(study)
    declaration = opened.declaration.with_primary(primary)
    comparison = choose_comparison(opened.cases, compare, baseline) if len(opened.cases) else RATIO_COMPARISON
    opened = _with_common_sets(opened, comparison.column) if comparison.column in ("data", "variant") else opened
    settings = StudySettings(opened)
    groups = check_groups(opened.cases, by) if len(opened.cases) else ()
    with replaced_folder(folder, FOLDER) as new:
        (new / "figures").mkdir()
        arms = _analysed(opened, comparison, groups, declaration.primary, margins or declaration.margins)
        kinds = [kind for kind in FIGURE_TYPES[1:] if kind in formats]
        parts = _parts(opened, arms, new / "figures", kinds, groups)
        _write(new, opened, parts, settings, Audience.INSIDE)
        if not names_people(groups):
            _write_copy(new / SHARED, new / "figures", opened, parts, settings)
        if pdf and (problem := print_page(new / "index.html", new / "report.pdf")):
            print(problem)
    return folder / "index.html"


def _with_common_sets(study: Study, column: str) -> Study:
    """Leave out the data sets whose content differs between the levels: a case 001 of one is not that of another.

    Raises:
        UserError: No data set is left.
    """
    keys = ["dataset"] if column == "data" else ["data", "dataset"]
    found: dict[tuple[str, ...], set[str]] = {}
    for row in study.cases.drop_duplicates(["run", "dataset"]).to_dict("records"):
        if content := (study.records[row["run"]].content or {}).get(recorded_name(row["dataset"])):
            found.setdefault(tuple(str(row[key]) for key in keys), set()).add(json.dumps(content, sort_keys=True))
    others = [key for key, contents in found.items() if len(contents) > 1]
    cases = study.cases[[tuple(map(str, row)) not in others for row in study.cases[keys].to_numpy()]]
    names = sorted({key[-1] for key in others})
    if cases.empty:
        raise UserError(f"compare={column}: no data set of the test is the same at every level ({', '.join(names)})")
    lines = [f"data set {name} is not the same at every level: it is left out of this comparison" for name in names]
    return replace(study, cases=cases, problems=(*study.problems, *lines))


def _analysed(
    study: Study, comparison: Comparison, by: Sequence[str], primary: str, margins: Margins
) -> list[tuple[Arm, Analysis]]:
    """Each arm with its analysis."""
    arms = split_arms(study.cases, comparison) if len(study.cases) else []
    return [(arm, analyse(arm.cases, margins, comparison=comparison, by=by, primary=primary)) for arm in arms]


def _parts(
    study: Study, arms: Sequence[tuple[Arm, Analysis]], folder: Path, further: Sequence[str], by: Sequence[str]
) -> list[Section]:
    """The sections of the page; their figures are drawn into the folder."""
    titles = _titles([arm.fixed for arm, _ in arms])
    prefixes = [f"arm{number}-" for number in range(1, len(arms) + 1)] if len(arms) > 1 else [""]
    return [
        build_section(study, arm, analysis, folder, prefix, title, len(arms), further, by)
        for (arm, analysis), prefix, title in zip(arms, prefixes, titles, strict=False)
    ]


def _titles(fixed: Sequence[Mapping[str, Level]]) -> list[str]:
    """For each arm the part of its condition that differs between arms; the whole condition of a single arm."""
    differ = [key for key in (fixed[0] if fixed else ()) if len({arm[key] for arm in fixed}) > 1] if fixed else []
    keys = differ or list(fixed[0] if fixed else ())
    return [
        ", ".join(
            in_words(key, level_name(arm[key])) for key in keys if is_worth_stating(key, arm[key]) or key in differ
        )
        for arm in fixed
    ]


def _write(folder: Path, study: Study, parts: Sequence[Section], settings: StudySettings, audience: Audience) -> None:
    """Write everything except the figures, for one audience."""
    titled = [(part.title if len(parts) > 1 else "", part.analysis) for part in parts]
    matrix = matrix_table(titled, "matrix") if parts else None
    shared = [*study_tables(study), *([matrix] if matrix else [])]
    done = study.ledger.run[study.ledger.state == "done"]
    runs = [list(done[done.isin(part.runs)]) for part in parts]
    words = methods(study, parts, runs, settings, audience)
    (folder / "methods.md").write_text(without_tags(words), encoding="utf-8")
    html = page(study, parts, shared, words, settings.values(audience), audience)
    (folder / "index.html").write_text(html, encoding="utf-8")
    (folder / "tables").mkdir()
    for table in (*shared, *(table for part in parts for table in part.tables)):
        table.write(folder / "tables")
    _write_pooled(folder, study, parts)


def _write_copy(folder: Path, figures: Path, study: Study, parts: Sequence[Section], settings: StudySettings) -> None:
    """Write the report for readers outside, and copy its figures."""
    (folder / "figures").mkdir(parents=True)
    parts = [outside_section(part) for part in parts]
    titles = _titles([part.fixed for part in parts])
    parts = [replace(part, title=title) for part, title in zip(parts, titles, strict=True)]
    _write(folder, outside_study(study), parts, settings, Audience.OUTSIDE)
    for figure in (figure for part in parts for own in part.figures.values() for figure in own):
        for file in figures.glob(f"{figure.name}.[ps][nv]g"):
            shutil.copyfile(file, folder / "figures" / file.name)


def _write_pooled(folder: Path, study: Study, parts: Sequence[Section]) -> None:
    """Write one table of all arms for each kind of row, and every case."""
    axis = parts[0].analysis.comparison.column if parts else RATIO_COLUMN
    kinds = {
        "summary": (Mean, "means"),
        "differences": (Difference, "differences"),
        "tables/tolerated": (Tolerance, "tolerances"),
        "tables/crossings": (Crossing, "crossings"),
        "tables/mixed": (MixedCheck, "mixed"),
        "tables/contrasts-gap": (Contrast, "gaps"),
        "tables/contrasts-interaction": (Contrast, "interactions"),
    }
    for name, (kind, field) in kinds.items():
        made = [as_table(getattr(part.analysis, field), kind, axis).assign(**part.fixed) for part in parts]
        full = [table for table in made if len(table)]
        pooled = pd.concat(full, ignore_index=True) if full else as_table([], kind, axis)
        pooled.to_csv(folder / f"{name}.csv", index=False)
    study.cases.to_csv(folder / CASES, index=False)
