"""The folder of a ranking: a ranking in; ranking.csv and the other files out, completely or not at all."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mandseg.ranking.judges.judgement import Judgement
from mandseg.ranking.page import worklist
from mandseg.ranking.pictures import WorklistPicture, draw_cases, request_for
from mandseg.ranking.ranking import Ranking
from mandseg.system.files import Kind, refuse_foreign_files, replaced_folder

TABLE, PAGE = "ranking.csv", "index.html"
FOLDER = Kind("a ranking", "choose an empty folder with --out", frozenset({TABLE}), re.compile(r"(?!)"))
CSV_DECIMALS = 4


class Written(NamedTuple):
    """A ranking and its first file."""

    ranking: Ranking
    file: Path


def default_folder(cohort: Path) -> Path:
    """``ranking`` in the cohort's folder."""
    return (cohort if cohort.is_dir() else cohort.parent) / "ranking"


def refuse_folder(folder: Path) -> None:
    """Refuse a folder with files that no ranking wrote, before anything is trained or measured.

    Raises:
        UserError: As :func:`mandseg.system.files.refuse_foreign_files`.
    """
    refuse_foreign_files(folder, FOLDER)


def write_ranking(
    folder: Path, rank: Callable[[], tuple[Ranking, Judgement | None]], pictures: int = 0, workers: int | None = None
) -> Written:
    """Rank, and write the folder. An earlier ranking is replaced.

    Args:
        folder: The folder.
        rank: Makes the ranking, after the folder was found to be free; also gives the networks, if there are some.
        pictures: Number of first cases to draw.
        workers: Number of processes that draw.

    Raises:
        UserError: The folder has files that no ranking wrote, or cannot be written; or as ``rank``.
    """
    refuse_folder(folder)
    ranking, judgement = rank()
    drawn = draw_first(ranking, judgement, pictures, workers)
    with replaced_folder(folder, FOLDER) as new:
        ranking.table.round(CSV_DECIMALS).to_csv(new / TABLE, index=False)
        for check in ranking.checks:
            check.table.round(CSV_DECIMALS).to_csv(new / f"detection-{check.name}.csv", index=False)
        if ranking.places is not None:
            ranking.places.round(CSV_DECIMALS).to_csv(new / "detection-places.csv", index=False)
        if ranking.annotators is not None:
            ranking.annotators.table.round(CSV_DECIMALS).to_csv(new / "annotators.csv", index=False)
        (new / PAGE).write_text(worklist(ranking, drawn), encoding="utf-8")
    return Written(ranking, folder / PAGE)


def draw_first(
    ranking: Ranking, judgement: Judgement | None, n: int, workers: int | None = None
) -> Sequence[WorklistPicture]:
    """Draw the first cases of a ranking, with their predictions where there are some."""
    by_id = {case.case_id: case for case in ranking.cohort.cases}
    requests = []
    for case_id in ranking.open.case_id.head(n):
        prediction = judgement.prediction(case_id) if judgement else None
        requests.append(request_for(by_id[case_id], prediction))
    return list(draw_cases(requests, workers))
