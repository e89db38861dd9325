"""A cohort in, the folder of an audit out: index.html, tables as CSV, figures and pictures."""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mandseg import __version__
from mandseg.audit import finding
from mandseg.audit.figures import plot_annotators, plot_regions
from mandseg.audit.measurement import Measurement, measure_case
from mandseg.audit.pair import cases_with_two_labels
from mandseg.audit.pictures import DrawnCase, chosen, picture
from mandseg.audit.tables import annotators_table, cases_table, is_copy, regions_of, regions_table
from mandseg.data.case import Case
from mandseg.data.manifest import Cohort, read_cohort
from mandseg.noise import NoiseSource
from mandseg.report.figures.source import Drawing, ReportFigure, draw
from mandseg.report.figures.style import FURTHER_TYPES
from mandseg.report.page import environment
from mandseg.system.errors import UserError
from mandseg.system.files import Kind, refuse_foreign_files, replaced_folder
from mandseg.system.progress import for_each

FOLDER = Kind(
    "an audit",
    "choose an empty folder with --out",
    frozenset({"index.html", "cases.csv", "annotators.csv", "regions.csv"}),
    re.compile(
        r"(index\.html|(cases|annotators|regions)\.csv|figures/((annotators|regions)\.(svg|pdf|png)|case-.*\.png))"
    ),
)
LARGEST_PAGE = 12_000_000  # bytes of encoded pictures in the page; further pictures are files beside it
TOP = 10  # cases listed first
CSV_DECIMALS = 4


@dataclass(frozen=True)
class Audit:
    """The results of an audit; the tables are from mandseg.audit.tables."""

    cohort: Cohort
    noise_words: str
    cases: pd.DataFrame
    annotators: pd.DataFrame
    regions: pd.DataFrame

    @property
    def headline(self) -> str:
        """The finding in one sentence."""
        return finding.headline(self.drawings)

    @property
    def sentences(self) -> list[str]:
        """The other results in words."""
        copies = finding.copies_left_out(self.cases)
        return [*([copies] if copies else []), *finding.sentences(self.drawings, self.annotators)]

    @property
    def drawings(self) -> pd.DataFrame:
        """The cases without copies of the reference; all cases if there is nothing else."""
        return without_copies(self.cases)

    @property
    def left_out(self) -> int:
        """Number of cases of the cohort without two labels."""
        return len(self.cohort.cases) - len(self.cases)


@dataclass(frozen=True)
class PagePicture:
    """A picture of a case, inside the page or in a file beside it."""

    case: dict[Any, Any]
    source: str  # data URI, empty for a file beside the page
    file: str


def audit_cohort(path: Path, noise: NoiseSource, noise_words: str, workers: int | None = None) -> Audit:
    """Measure every case with two labels.

    Args:
        path: A cohort's folder, or its manifest.csv.
        noise: The source of the noisy labels.
        noise_words: ``recorded``, or the preset with its settings, for the reader.
        workers: Number of processes; by default one for each core if there are many cases.

    Raises:
        UserError: Cases cannot be read (one line for each problem), or no case has two labels.
    """
    cohort = read_cohort(path)
    cases = cases_with_two_labels(cohort, noise)
    results = list(for_each(partial(measure_case, noise=noise), cases, "Measuring", workers))
    if problems := [line for result in results if isinstance(result, list) for line in result]:
        raise UserError(problems)
    measured = [result for result in results if isinstance(result, Measurement)]
    table = cases_table(measured)
    drawings = without_copies(table)
    drawn = regions_table([one for one in measured if one.case_id in set(drawings.case_id)])
    return Audit(cohort, noise_words, table, annotators_table(drawings), drawn)


def without_copies(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases whose noisy label is no copy of the reference; all cases if every label is a copy."""
    drawn = cases[~is_copy(cases)]
    return drawn if len(drawn) else cases


def write_audit(
    path: Path, folder: Path, noise: NoiseSource, noise_words: str, pictures: int = 0, workers: int | None = None
) -> tuple[Audit, Path]:
    """Audit a cohort and write the folder completely or not at all. An earlier audit is replaced.

    Args:
        path: A cohort's folder, or its manifest.csv.
        folder: The folder of the audit.
        noise: The source of the noisy labels.
        noise_words: ``recorded``, or the preset with its settings, for the reader.
        pictures: Number of worst cases to draw, in addition to the worst case of each annotator; 0 draws none.
        workers: Number of processes.

    Returns:
        The audit and the path of index.html.

    Raises:
        UserError: As ``audit_cohort``; or the folder has files that no audit wrote, or cannot be written.
    """
    refuse_foreign_files(folder, FOLDER)
    audit = audit_cohort(path, noise, noise_words, workers)
    by_id: dict[str, Case] = {case.case_id: case for case in audit.cohort.cases}
    to_draw = [by_id[case_id] for case_id in chosen(audit.cases, pictures)]
    drawn = for_each(partial(picture, noise=noise), to_draw, "Drawing", workers) if to_draw else iter(())
    with replaced_folder(folder, FOLDER) as new:
        (new / "figures").mkdir()
        drawn_figures = _draw_figures(audit, new / "figures")
        shown = list(_show(drawn, audit.cases, new / "figures"))
        (new / "index.html").write_text(_page(audit, drawn_figures, shown), encoding="utf-8")
        for name, table in (("cases", audit.cases), ("annotators", audit.annotators), ("regions", audit.regions)):
            table.round(CSV_DECIMALS).to_csv(new / f"{name}.csv", index=False)
    return audit, folder / "index.html"


def _show(drawn: Iterator[DrawnCase], cases: pd.DataFrame, folder: Path) -> Iterator[PagePicture]:
    """Write each picture as a file, and put it into the page until ``LARGEST_PAGE`` is reached."""
    rows = {row["case_id"]: row for row in _rows(cases)}
    used = 0
    for drawing in drawn:
        name = f"case-{drawing.case_id}.png"
        (folder / name).write_bytes(drawing.png)
        source = "data:image/webp;base64," + base64.b64encode(drawing.webp).decode()
        used += len(source)
        yield PagePicture(rows[drawing.case_id], source if used <= LARGEST_PAGE else "", f"figures/{name}")


def _draw_figures(audit: Audit, folder: Path) -> dict[str, ReportFigure]:
    drawings = (
        Drawing(
            "annotators",
            partial(plot_annotators, audit.drawings, audit.annotators),
            "Each point is a case. Box: the middle half. Line: median.",
            wide=True,
        ),
        Drawing(
            "regions",
            partial(plot_regions, audit.annotators),
            "Mean signed displacement of the contour from the reference in mm. Red: outward (positive). Blue: inward.",
            wide=True,
        ),
    )
    return {drawing.name: draw(drawing, folder, list(FURTHER_TYPES)) for drawing in drawings}


def _page(audit: Audit, figures: dict[str, ReportFigure], pictures: Sequence[PagePicture]) -> str:
    return (
        environment("mandseg.audit")
        .get_template("audit.html.j2")
        .render(
            audit=audit,
            cases=_rows(audit.cases),
            annotators=_rows(audit.annotators),
            figures=figures,
            pictures=pictures,
            regions=regions_of(audit.annotators),
            top=TOP,
            version=__version__,
        )
    )


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows, with None for a missing value."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
