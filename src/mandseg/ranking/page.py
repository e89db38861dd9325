"""The worklist: a ranking and pictures in, one HTML file that loads no other file out. It is for readers inside."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mandseg import __version__
from mandseg.data.case import Case
from mandseg.data.ranked.label import ranked_label
from mandseg.data.structure import structure_of
from mandseg.ranking.annotators import FEWEST_CASES, parts_in
from mandseg.ranking.displacements import regions_in
from mandseg.ranking.pictures import WorklistPicture
from mandseg.ranking.ranking import Ranking
from mandseg.ranking.scores.catalogue import SCORES, measures_in
from mandseg.report.page import environment

LARGEST_PAGE = 20_000_000  # bytes of encoded pictures; further cases have none


@dataclass(frozen=True)
class Entry:
    """A case of the worklist."""

    row: dict[Any, Any]
    picture: str  # data URI; empty without one
    slices: str  # e.g. ``48, 55 and 61 of 120``
    label: str  # the file to correct, relative to the cohort where possible
    image: str


def worklist(ranking: Ranking, pictures: Sequence[WorklistPicture]) -> str:
    """Render the page."""
    drawn = {picture.case_id: picture for picture in pictures}
    cases = {case.case_id: case for case in ranking.cohort.cases}
    used, entries = 0, []
    rows = ranking.open.astype(object).where(ranking.open.notna(), None)  # None for a missing value
    for row in rows.to_dict("records"):
        picture = drawn.get(row["case_id"])
        source = "" if picture is None else "data:image/webp;base64," + base64.b64encode(picture.webp).decode()
        used += len(source)
        entries.append(_entry(row, picture, source if used <= LARGEST_PAGE else "", cases[row["case_id"]], ranking))
    present = set(ranking.table.columns)
    return (
        environment("mandseg.ranking")
        .get_template("worklist.html.j2")
        .render(
            ranking=ranking,
            entries=entries,
            n_trusted=int(ranking.table.trusted.sum()),
            n_flagged=int(ranking.table.flagged.sum()),
            scores=[score for score in SCORES if score.name in present and ranking.open[score.name].notna().any()],
            measures=measures_in(present),
            parts=[] if ranking.annotators is None else parts_in(ranking.annotators.table),
            fewest=FEWEST_CASES,
            regions=regions_in(present),
            structure=structure_of(ranking.cohort.cases[0]),
            by=next(score for score in SCORES if score.name == ranking.by),
            version=__version__,
        )
    )


def _entry(row: dict[Any, Any], picture: WorklistPicture | None, source: str, case: Case, ranking: Ranking) -> Entry:
    slices = ""
    if picture is not None:
        slices = f"{', '.join(map(str, picture.slices))} of {picture.of_slices}"
    image = "" if case.image is None else _shown(case.image, ranking)
    return Entry(row, source, slices, _shown(ranked_label(case), ranking), image)


def _shown(file: Any, ranking: Ranking) -> str:
    """A path relative to the cohort's folder, or the file's name where it lies elsewhere."""
    return str(file.relative_to(ranking.cohort.root)) if file.is_relative_to(ranking.cohort.root) else file.name
