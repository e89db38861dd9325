"""One trained network on every data set: predictions on the images' own grids, scores per case, worst-case pictures."""

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
from mandseg.metrics.agreement import score
from mandseg.metrics.masks import Mask
from mandseg.system.distributed import gather_objects, rank_and_size
from mandseg.system.progress import for_each

Key = tuple[Path | None, Path | None]  # image and reference: two readers of one CT are two cases
PreparedCases = Mapping[Key, PreparedCase]


@dataclass(frozen=True)
class Evaluator:
    """How a network is applied and scored.

    Args:
        predictor: The network and what it expects of an image.
        smallest_piece: Connected pieces of a prediction below this share of its largest one are dropped.
        predictions: The folder that the masks are written to, as NIfTI files.
    """

    predictor: Predictor
    smallest_piece: float
    predictions: Path

    def score_case(self, prepared: PreparedCase) -> dict[str, Any]:
        """Segment one case, write the mask and score it against the reference, on the image file's own grid."""
        start = perf_counter()
        prediction = self.predictor.mask_of_case(prepared, self.smallest_piece)
        seconds = perf_counter() - start
        loaded = load_case(prepared.case)
        write_volume(self.file(prepared), Volume(prediction.array, loaded.image.affine))
        mask = np.asarray(prediction.array, dtype=np.bool_)
        return score(mask, reference_mask(loaded), loaded.image.geometry.spacing_mm) | {"seconds": round(seconds, 3)}

    def draw(self, prepared: PreparedCase, file: Path, title: str) -> None:
        """Picture a scored case in three planes with the contours of reference and prediction."""
        loaded = load_case(prepared.case)
        image = to_canonical(loaded.image)
        reference = to_canonical(Volume(reference_mask(loaded), loaded.image.affine)).array
        prediction = to_canonical(read_volume(self.file(prepared))).array
        draw_overlay(
            image.array, reference.astype(np.bool_), prediction.astype(np.bool_), image.geometry.spacing_mm, file, title
        )

    def file(self, prepared: PreparedCase) -> Path:
        """Where a case's prediction lies: cases of two cohorts may have one name, their cache entries have not."""
        return self.predictions / f"{prepared.case.case_id}-{prepared.folder.name[:6]}.nii.gz"


def evaluate(
    evaluator: Evaluator, sets: EvaluationSets, prepared: PreparedCases, columns: Mapping[str, Any]
) -> pd.DataFrame:
    """Score every case once and list it under each data set it belongs to.

    Args:
        evaluator: The network and how to apply it.
        sets: Data sets by name.
        prepared: The prepared case of each image and reference.
        columns: Columns that all rows share: the run and its condition.

    Returns:
        One row for each data set and case: the table that cases.csv holds.
    """
    scores = score_cases(evaluator, prepared)
    return pd.DataFrame(
        {**columns, "dataset": name, **describe(case), **scores[key_of(case)]}
        for name, cases in sets.items()
        for case in cases
    )


def score_cases(evaluator: Evaluator, prepared: PreparedCases) -> dict[Key, dict[str, Any]]:
    """Score every case once; several processes share them out, and each gets the scores of all."""
    rank, size = rank_and_size()
    mine = list(prepared)[rank::size]
    scored = list(for_each(evaluator.score_case, [prepared[key] for key in mine], "Testing", workers=1))
    scores = {
        key: values for share in gather_objects(dict(zip(mine, scored, strict=True))) for key, values in share.items()
    }
    return {key: scores[key] for key in prepared}


def describe(case: Case) -> dict[str, str]:
    """A case's identifying and grouping columns in cases.csv."""
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
    """Picture the worst and the median case of each data set, by Dice: overlays/<dataset>--<case_id>.png."""
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
    """The reference label, which every tested case has (mandseg.data.sources refuses others)."""
    if loaded.reference is None:
        raise ValueError(f"case {loaded.case.case_id} has no reference")
    return np.asarray(loaded.reference.array, dtype=np.bool_)


def key_of(case: Case) -> Key:
    """What a score belongs to: an image and the reference it is compared with."""
    return case.image, case.reference


def unique_cases(sets: EvaluationSets) -> Sequence[Case]:
    """Every image and reference of the data sets once."""
    return list({key_of(case): case for cases in sets.values() for case in cases}.values())
