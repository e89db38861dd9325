"""Pictures of the worst and the median case of each data set at each level, reduced for a page."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from mandseg.evaluation.slice_strip import SUFFIX
from mandseg.metrics.catalogue import METRICS
from mandseg.report import wording
from mandseg.runs.folder import RunFolder
from mandseg.statistics.comparison import Comparison, Level

WIDTH = 1000  # pixels
MOST = 64
"""Largest number of pictures of a page: at 30 to 60 kB each, less than 4 MB. At most half of them have slices."""
WORST, MEDIAN = "worst", "median"


@dataclass(frozen=True)
class Slices:
    """Axial slices of a case: square pictures below each other, the lowest slice on top.

    Args:
        source: Data URI.
        count: Number of slices.
    """

    source: str
    count: int


@dataclass(frozen=True)
class CasePicture:
    """One case with the contours of reference and prediction.

    Args:
        source: Data URI of the three planes.
        caption: Data set, level, seed, case and scores.
        rank: ``worst`` or ``median``.
        slices: None if the run saved none, as runs of older versions did, or if the page has too many pictures.
    """

    source: str
    caption: str
    rank: str
    slices: Slices | None


def pictures(
    study: Path, cases: pd.DataFrame, comparison: Comparison, levels: list[Level], most: int = MOST
) -> list[CasePicture]:
    """For each data set and level the drawn case with the lowest Dice, and the median case of the same run.

    If there are more data sets and levels than ``most`` allows, evenly spaced levels are shown, with the first and the
    last. If more than half of ``most`` pictures are shown, only the worst cases have slices, half of ``most`` of them.
    """
    shown = list(islice(_pictures(study, cases, comparison, levels, most), most))
    if len(shown) <= most // 2:
        return shown
    chosen = [picture for picture in shown if picture.rank == WORST][: most // 2]
    return [picture if picture in chosen else replace(picture, slices=None) for picture in shown]


def _pictures(
    study: Path, cases: pd.DataFrame, comparison: Comparison, levels: list[Level], most: int
) -> Iterator[CasePicture]:
    datasets = list(cases.dataset.drop_duplicates())
    room = max(2, most // (2 * max(len(datasets), 1)))
    places = np.unique(np.linspace(0, len(levels) - 1, min(room, len(levels))).round().astype(int))
    shown = [levels[place] for place in places]
    for dataset in datasets[: max(1, most // 4)]:
        of_set = cases[cases.dataset == dataset]
        for level in shown:
            rows = of_set[of_set[comparison.column] == level]
            yield from _of_one(study, rows, f"{dataset}, {comparison.name(level)}")


def _of_one(study: Path, rows: pd.DataFrame, place: str) -> Iterator[CasePicture]:
    drawn = _drawn(study, rows)
    if drawn.empty:
        return
    worst = drawn.iloc[0]
    same_run = drawn[drawn.run == worst.run]
    for rank, row in {WORST: worst, MEDIAN: same_run.iloc[-1]}.items():
        if rank == WORST or row.case_id != worst.case_id:
            file = RunFolder(study / str(row.run)).overlays / f"{row.dataset}--{row.case_id}.png"
            if source := embedded(file):
                caption = f"{place}, {rank} case, {_words(row)}"
                yield CasePicture(source, caption, rank, embedded_slices(file.with_suffix(SUFFIX)))


def _drawn(study: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a picture, lowest Dice first. A run draws two cases of a data set."""
    chosen = []
    for run, own in rows.groupby("run", sort=False):
        folder = RunFolder(study / str(run)).overlays
        names = {file.name for file in folder.glob("*--*.png")} if folder.is_dir() else set()
        if names:
            wanted = own.dataset + "--" + own.case_id + ".png"
            chosen.append(own[wanted.isin(names)])
    full = [part for part in chosen if len(part)]
    return pd.concat(full).sort_values("dice", kind="stable") if full else pd.DataFrame()


def _words(row: Any) -> str:
    scores = [
        f"{metric.label} {wording.number(row[metric.column], metric.decimals)} {metric.unit}".strip()
        for metric in METRICS[:3]
        if pd.notna(row[metric.column])
    ]
    outcome = "" if row.outcome == "scored" else f"{row.outcome}; "
    return f"seed {int(row.seed)}: {row.case_id}. {outcome}{', '.join(scores)}"


def embedded(file: Path) -> str | None:
    """A picture as a data URI, at most ``WIDTH`` pixels wide; None if the file is missing or unreadable."""
    try:
        with Image.open(file) as image:
            picture = image.convert("RGB")
    except (FileNotFoundError, UnidentifiedImageError, OSError):
        return None
    picture.thumbnail((WIDTH, WIDTH))
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=80)
    return _data_uri(data.getvalue())


def embedded_slices(file: Path) -> Slices | None:
    """The slices of a case, as the run saved them; None if the file is missing or unreadable."""
    try:
        content = file.read_bytes()
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
            image.load()
    except (UnidentifiedImageError, OSError):
        return None
    return Slices(_data_uri(content), max(1, image.height // image.width))


def _data_uri(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode()
