"""The folder of a ranking: a ranking in; ranking.csv and the other files out, completely or not at all."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mandseg.ranking.ranking import Ranking
from mandseg.system.files import Kind, refuse_foreign_files, replaced_folder

TABLE = "ranking.csv"
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


def write_ranking(folder: Path, rank: Callable[[], Ranking]) -> Written:
    """Rank, and write the folder. An earlier ranking is replaced.

    Args:
        folder: The folder.
        rank: Makes the ranking, after the folder was found to be free.

    Raises:
        UserError: The folder has files that no ranking wrote, or cannot be written; or as ``rank``.
    """
    refuse_folder(folder)
    ranking = rank()
    with replaced_folder(folder, FOLDER) as new:
        ranking.table.round(CSV_DECIMALS).to_csv(new / TABLE, index=False)
    return Written(ranking, folder / TABLE)
