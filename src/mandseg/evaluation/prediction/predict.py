"""Predicts images one after another into a folder. A repeated call predicts only what is missing or has changed."""

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mandseg import __version__
from mandseg.data.dicom.rtstruct import LONGEST_NAME, write_rtstruct
from mandseg.data.nifti_forms import position_doubts
from mandseg.data.volume import Volume, write_volume
from mandseg.evaluation.prediction.inputs import Input, with_checked_name
from mandseg.evaluation.prediction.network import TrainedNetwork
from mandseg.evaluation.prediction.picture import draw_prediction
from mandseg.evaluation.prediction.plausibility import implausible, unstated_orientation
from mandseg.evaluation.prediction.quality import OK, REVIEW, Quality, reasons
from mandseg.evaluation.prediction.segmentation import Segmentation, segment
from mandseg.system.errors import UserError
from mandseg.system.files import Kind, csv_text, write_text
from mandseg.system.growing_folder import GrowingFolder, growing_folder
from mandseg.system.progress import for_each

KIND = Kind("predictions", "choose another folder with --out", frozenset(), re.compile("(?!)"))
TABLE = "predictions.csv"
MASK, PICTURE, RTSTRUCT = ".nii.gz", ".png", ".rtstruct.dcm"
COLUMNS = (
    *("case", "status", "flag", "reason", "volume_ml", "pieces", "islands", "confidence", "disagreement"),
    *("median_hu", "rise_mm", "spread_mm", "structure", "networks", "made_from"),
)
NO_STRUCTURE_SET = "so no structure set was written"
"""The reason of an empty mask: an ROI needs a contour."""
REASONS_IN_TITLE = 2
PREDICTED, REFUSED = "predicted", "refused"
SUFFIX = "_mandseg"
"""Of an ROI's name: a planning system shows that no person drew it."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Wish:
    """What is to be written.

    Args:
        rtstruct: Whether to write structure sets.
        roi_name: The name of the ROI; empty: the structure's name and a suffix.
        force: Whether implausible images are predicted, too.
    """

    rtstruct: bool = False
    roi_name: str = ""
    force: bool = False


def predict_images(
    inputs: Sequence[Input], networks: Sequence[TrainedNetwork], out: Path, wish: Wish = Wish()
) -> Iterator[tuple[Row, bool]]:
    """Predict images and yield the row of each, and whether it was predicted now or by an earlier call.

    An image that cannot be predicted gives a row with the reason; the others are predicted.

    Args:
        inputs: The images.
        networks: One, or several whose mean is taken.
        out: The folder to write: mask, picture and structure set of each image, and a table of all.
        wish: What is to be written.

    Raises:
        UserError: A file that is to be written exists and was not written by an earlier call.
    """
    roi_name = wish.roi_name or f"{networks[0].structure}{SUFFIX}"
    if not 0 < len(roi_name) <= LONGEST_NAME or "\\" in roi_name:
        raise UserError(f"--roi-name {roi_name!r}: expected 1 to {LONGEST_NAME} characters without a backslash")
    wish = replace(wish, roi_name=roi_name)
    inputs = [with_checked_name(one) for one in inputs]
    with growing_folder(out, KIND) as folder:
        folder.refuse_foreign([TABLE, *(file for one in inputs for file in files_of(one.name))])
        table = _read_table(folder)
        work = partial(_row_of, networks=networks, folder=folder, former=dict(table), wish=wish)
        for row, is_new in for_each(work, inputs, "Predicting", workers=1):
            if is_new:
                table[row["case"]] = row
                with folder.writing([TABLE]):
                    write_text(out / TABLE, csv_text(COLUMNS, [table[case] for case in sorted(table)]))
            yield row, is_new


def files_of(name: str) -> list[str]:
    """The files of a prediction."""
    return [f"{name}{ending}" for ending in (MASK, PICTURE, RTSTRUCT)]


def _row_of(
    one: Input, networks: Sequence[TrainedNetwork], folder: GrowingFolder, former: Mapping[str, Row], wish: Wish
) -> tuple[Row, bool]:
    try:
        image, doubts = _read(one, wish)
        made_from = _digest(image, networks, wish, one)
        before = former.get(one.name)
        if before and before["made_from"] == made_from and _is_complete(before, folder, wish):
            return before, False
        found = segment(image, networks)
        return _write(one, image, found, networks, folder, wish, doubts) | {"made_from": made_from}, True
    except UserError as error:
        reason = "; ".join(line.removeprefix(f"{one.path}: ") for line in error.problems)
    if not one.is_nameless:
        folder.remove(files_of(one.name))  # of an earlier call: they are of another image than the present one
    return {"case": one.name, "status": REFUSED, "flag": REVIEW, "reason": reason}, True


def _read(one: Input, wish: Wish) -> tuple[Volume, list[str]]:
    """The image, and what is implausible about it where the user wants it predicted all the same."""
    if wish.rtstruct and not one.problem and one.scan is None:
        raise UserError("--rtstruct needs a DICOM series, this is an image file; leave out --rtstruct")
    image = one.read()
    doubts = _doubts_about_place(one) + ([line] if (line := implausible(image)) else [])
    if doubts and not wish.force:
        raise UserError(f"{doubts[0]}; correct it, or predict it all the same with --force")
    if one.series is not None:
        doubts += [note.removeprefix("WARNING: ") for note in one.series.notes if note.startswith("WARNING")]
    return image, doubts


def _doubts_about_place(one: Input) -> list[str]:
    """Why other programs may show an image and its mask elsewhere; a DICOM series states its place once."""
    if one.scan is not None:
        return []
    unstated = unstated_orientation(one.path)
    return [unstated] if unstated else position_doubts(one.path)


def _write(
    one: Input,
    image: Volume,
    found: Segmentation,
    networks: Sequence[TrainedNetwork],
    folder: GrowingFolder,
    wish: Wish,
    doubts: Sequence[str],
) -> dict[str, Any]:
    first, is_empty = networks[0], found.quality.volume_ml == 0
    why = [*doubts, *reasons(found.quality, first.structure, first.training)]
    if is_empty and wish.rtstruct:
        why.append(NO_STRUCTURE_SET)
    flag = REVIEW if why else OK
    mask_file, picture, rtstruct = files_of(one.name)
    folder.remove([mask_file, picture, rtstruct])
    with folder.writing([mask_file, picture, rtstruct]):
        write_volume(folder.path / mask_file, Volume(found.mask.array.astype(np.uint8), found.mask.affine))
        if wish.rtstruct and not is_empty and one.series is not None:
            about = f"mandseg {__version__} {first.name}"
            write_rtstruct(folder.path / rtstruct, found.mask, one.series, wish.roi_name, description=about)
        title = f"{one.name}: {first.structure} {found.quality.volume_ml:.1f} ml, {flag}{_because(why)}"
        draw_prediction(image, found.mask, folder.path / picture, title)
    return {
        "case": one.name,
        "status": PREDICTED,
        "flag": flag,
        "reason": "; ".join(why),
        "structure": first.structure,
        "networks": " ".join(network.name for network in networks),
        **_figures(found.quality),
    }


def _because(why: Sequence[str]) -> str:
    """The first reasons, for the title of a picture."""
    more = len(why) - REASONS_IN_TITLE
    return f": {'; '.join(why[:REASONS_IN_TITLE])}{f'; {more} more' if more > 0 else ''}" if why else ""


def _figures(quality: Quality) -> dict[str, Any]:
    def rounded(value: float | None, digits: int) -> float | str:
        return "" if value is None else round(value, digits)

    return {
        "volume_ml": rounded(quality.volume_ml, 3),
        "pieces": quality.pieces,
        "islands": quality.islands,
        "confidence": rounded(quality.confidence, 4),
        "disagreement": rounded(quality.disagreement, 4),
        "median_hu": rounded(quality.median_hu, 1),
        "rise_mm": rounded(quality.rise_mm, 2),
        "spread_mm": rounded(quality.spread_mm, 2),
    }


def _digest(image: Volume, networks: Sequence[TrainedNetwork], wish: Wish, one: Input) -> str:
    """A hash of everything that a prediction is made from."""
    digest = hashlib.sha256()
    words = [__version__, *(network.digest for network in networks), wish.roi_name, one.scan.uid if one.scan else ""]
    digest.update(repr([*words, image.array.shape, image.array.dtype.str, image.affine.tolist()]).encode())
    for number in range(image.array.shape[2]):
        digest.update(np.ascontiguousarray(image.array[:, :, number]).tobytes())
    return digest.hexdigest()[:16]


def _is_complete(row: Row, folder: GrowingFolder, wish: Wish) -> bool:
    """Whether all files of an earlier prediction are there. An empty mask has no structure set, and its row says so."""
    mask_file, picture, rtstruct = files_of(row["case"])
    has_structure_set = wish.rtstruct and NO_STRUCTURE_SET not in row["reason"]
    wanted = [mask_file, picture, *([rtstruct] if has_structure_set else [])]
    return all(folder.is_whole(file) for file in wanted)


def _read_table(folder: GrowingFolder) -> dict[str, Row]:
    """The rows of earlier calls, by case."""
    if not folder.is_whole(TABLE):
        return {}
    with (folder.path / TABLE).open(encoding="utf-8", newline="") as file:
        return {row["case"]: {key: row.get(key) or "" for key in COLUMNS} for row in csv.DictReader(file)}
