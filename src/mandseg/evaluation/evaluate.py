"""Evaluates a trained network on every data set: predictions on the grids of the images, scores per case, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from mandseg.data.cache import PreparedCase
from mandseg.data.case import Case
from mandseg.data.loaded_case import LoadedCase, load_case
from mandseg.data.sources import EvaluationSets
from mandseg.data.volume import Volume, read_volume, to_canonical, write_volume
from mandseg.evaluation.overlay import draw_overlay
from mandseg.evaluation.predictor import Predictor
from mandseg.evaluation.slice_strip import SUFFIX, draw_slices
from mandseg.metrics.agreement import score
from mandseg.metrics.masks import Mask
from mandseg.system.distributed import gather_objects, rank_and_size
from mandseg.system.progress import for_each

Key = tuple[Path | None, Path | None]  # image and reference: two references of one CT are two cases
PreparedCases = Mapping[Key, PreparedCase]


@dataclass(frozen=True)
class Evaluator:
    """A network, its postprocessing and the folder of its predictions.

    Args:
        predictor: The network with its preprocessing.
        smallest_piece: Connected pieces of a prediction below this share of its largest one are dropped.
        predictions: The folder of the predicted masks, NIfTI files.
    """

    predictor: Predictor
    smallest_piece: float
    predictions: Path

    def score_case(self, prepared: PreparedCase) -> dict[str, Any]:
        """Segment one case, write the mask and score it against the reference, on the grid of the image file."""
        start = perf_counter()
        prediction = self.predictor.mask_of_case(prepared, self.smallest_piece)
        seconds = perf_counter() - start
        loaded = load_case(prepared.case)
        write_volume(self.file(prepared), Volume(prediction.array, loaded.image.affine))
        mask = np.asarray(prediction.array, dtype=np.bool_)
        grid = loaded.image.geometry
        return score(mask, reference_mask(loaded), grid.spacing_mm, grid.up) | {"seconds": round(seconds, 3)}

    def draw(self, prepared: PreparedCase, file: Path, title: str) -> None:
        """Draw a scored case with both contours: three planes in ``file``, and the axial slices beside it."""
        loaded = load_case(prepared.case)
        image = to_canonical(loaded.image)
        reference = to_canonical(Volume(reference_mask(loaded), loaded.image.affine)).array.astype(np.bool_)
        prediction = to_canonical(read_volume(self.file(prepared))).array.astype(np.bool_)
        spacing_mm = image.geometry.spacing_mm
        draw_overlay(image.array, reference, prediction, spacing_mm, file, title)
        draw_slices(image.array, reference, prediction, spacing_mm, file.with_suffix(SUFFIX))

    def file(self, prepared: PreparedCase) -> Path:
        """The file of a prediction; its name has part of the cache key, because two cohorts may share case names."""
        return self.predictions / f"{prepared.case.case_id}-{prepared.folder.name[:6]}.nii.gz"


def evaluate(
    evaluator: Evaluator, sets: EvaluationSets, prepared: PreparedCases, columns: Mapping[str, Any]
) -> pd.DataFrame:
    """Score every case once and list it under each of its data sets.

    Args:
        evaluator: The network and its postprocessing.
        sets: Data sets by name.
        prepared: The prepared case of each image and reference.
        columns: Columns with the same value in all rows: the run and its condition.

    Returns:
        One row for each data set and case: the table of cases.csv.
    """
    scores = score_cases(evaluator, prepared)
    return pd.DataFrame(
        {**columns, "dataset": name, **describe(case), **scores[key_of(case)]}
        for name, cases in sets.items()
        for case in cases
    )


def score_cases(evaluator: Evaluator, prepared: PreparedCases) -> dict[Key, dict[str, Any]]:
    """Score every case once. The cases are divided among the processes, and each process gets all scores."""
    rank, size = rank_and_size()
    own_keys = list(prepared)[rank::size]
    scored = list(for_each(evaluator.score_case, [prepared[key] for key in own_keys], "Testing", workers=1))
    scores = {
        key: values
        for share in gather_objects(dict(zip(own_keys, scored, strict=True)))
        for key, values in share.items()
    }
    return {key: scores[key] for key in prepared}


def describe(case: Case) -> dict[str, str]:
    """Give the identifying and grouping columns of a case in cases.csv."""
    groups = {"annotator": case.annotator, **case.groups}
    return {
        "case_id": case.case_id,
        "subject_id": case.subject_id,
        "split": case.split,
        **{f"group_{name}": value for name, value in groups.items() if value},
    }


def draw_examples(
    evaluator: Evaluator, table: pd.DataFrame, sets: EvaluationSets, prepared: PreparedCases, folder: Path
) -> list[Path]:
    """Draw the worst and the median case of each data set by Dice: overlays/<dataset>--<case_id>.png.

    The axial slices of the case are in a WebP file of the same name (see ``draw_slices``).
    """
    files = []
    for name, cases in sets.items():
        ranked = table[table["dataset"] == name].sort_values(["dice", "case_id"])
        by_id = {case.case_id: case for case in cases}
        for label, position in (("worst", 0), ("median", len(ranked) // 2)):
            row = ranked.iloc[position]
            file = folder / f"{name}--{row['case_id']}.png"
            title = f"{name}: {label} case {row['case_id']}, Dice {row['dice']:.3f}"
            evaluator.draw(prepared[key_of(by_id[row["case_id"]])], file, title)
            files.append(file)
    return files


def reference_mask(loaded: LoadedCase) -> Mask:
    """Give the reference label; mandseg.data.sources refuses test cases without one."""
    if loaded.reference is None:
        raise ValueError(f"case {loaded.case.case_id} has no reference")
    return np.asarray(loaded.reference.array, dtype=np.bool_)


def key_of(case: Case) -> Key:
    """Identify a score by its image and its reference."""
    return case.image, case.reference


def unique_cases(sets: EvaluationSets) -> Sequence[Case]:
    """List every pair of image and reference of the data sets once."""
    return list({key_of(case): case for cases in sets.values() for case in cases}.values())
