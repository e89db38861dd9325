"""Takes corrected masks in: a cohort and a folder of masks in, a cohort whose corrected cases are trusted out.

The original label of a case becomes its noisy label and the corrected one its reference, so ``mandseg audit`` compares
both, and ``clean_budget`` of a training uses them. A review may stop at any time: the same call continues it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import stem
from mandseg.data.loaded_case import non_binary_values, with_integer_values
from mandseg.data.manifest import MANIFEST, Cohort, read_cohort, write_cohort
from mandseg.data.ranked.label import TRUSTED, is_trusted, ranked_label
from mandseg.data.ranking_file import read_ranking
from mandseg.data.volume import Volume, is_image_file, read_geometry, read_volume, write_volume
from mandseg.ranking.folder import TABLE, default_folder
from mandseg.system.errors import UserError
from mandseg.system.files import LIST, fingerprint, read_list, refuse_file, write_text
from mandseg.system.wording import count, similar_path, summed_up

NOUN = "a corrected cohort"
CORRECTED = "corrected"
"""Folder of the corrected masks in the new cohort."""
ADVICE = "choose another folder with --out"


@dataclass(frozen=True)
class TakenIn:
    """The new cohort.

    Args:
        cohort: The cohort.
        n_corrected: Masks that were taken in by this call.
        open: The cases that are left, in the order of the ranking where there is one.
    """

    cohort: Cohort
    n_corrected: int
    open: Sequence[str]


def default_destination(cohort: Path) -> Path:
    """The new cohort's folder: beside the cohort, with ``-corrected`` after its name."""
    root = (cohort if cohort.is_dir() else cohort.parent).resolve()
    return root.with_name(f"{root.name}-{CORRECTED}")


def take_in(path: Path, folder: Path, dest: Path) -> TakenIn:
    """Make or complete the cohort with the corrected masks; everything is checked before anything is written.

    Args:
        path: A cohort's folder, or its manifest.csv.
        folder: Masks with the names of cases: CASE.nii.gz, .nrrd, .mha and so on.
        dest: The new cohort's folder; it may be one that an earlier call made.

    Raises:
        UserError: A mask belongs to no case, is on another grid, not binary or empty, or a case has two masks: one line
            each. Or the new folder is the cohort itself, or has files that no such call wrote.
    """
    cohort = read_cohort(path)
    if dest.resolve() == cohort.root:
        raise UserError(f"{dest}: is the cohort itself; {ADVICE}")
    masks = corrected_masks(cohort, folder)
    used = {path.resolve() for case in cohort.cases for path in (case.image, case.reference, case.noisy) if path}
    files = {case_id: dest.resolve() / CORRECTED / f"{case_id}.nii.gz" for case_id in masks}
    if inside := sorted(used & set(files.values())):
        raise UserError(f"{dest}: {inside[0].name} is a file of the cohort and would be replaced; {ADVICE}")
    listed = _refuse_foreign(dest, [dest / MANIFEST, *files.values()])
    for case_id, file in files.items():
        write_volume(file, masks[case_id])
    found = write_cohort(dest, [_row(case, files.get(case.case_id)) for case in cohort.cases])
    own = {file.relative_to(dest.resolve()).as_posix(): fingerprint(file) for file in files.values()}
    written = {**listed, **own, MANIFEST: fingerprint(dest / MANIFEST)}
    write_text(dest / LIST, json.dumps({"by": NOUN, "files": written}, indent=0) + "\n")
    return TakenIn(found, len(masks), _open(path, found))


def corrected_masks(cohort: Cohort, folder: Path) -> dict[str, Volume]:
    """case_id -> corrected mask, uint8, on the grid of the CT.

    Raises:
        UserError: As :func:`take_in`, one line for each mask.
    """
    if not folder.is_dir():
        why = "is a file, expected a folder of masks" if folder.exists() else f"no such folder{similar_path(folder)}"
        raise UserError(f"--take-in {folder}: {why}")
    files = sorted(file for file in folder.iterdir() if file.is_file() and is_image_file(file))
    if not files:
        raise UserError(f"--take-in {folder}: holds no mask, expected files such as {cohort.cases[0].case_id}.nii.gz")
    cases = {case.case_id: case for case in cohort.cases}
    masks: dict[str, Volume] = {}
    problems = []
    for file in files:
        name = stem(file.name)
        if name not in cases:
            named = f"a mask has the name of a case, e.g. {cohort.cases[0].case_id}.nii.gz"
            problems.append(f"case {name}: cohort {cohort.name} has no such case; {named}")
        elif name in masks:
            problems.append(f"case {name}: two corrected masks in {folder}, {file.name} is the second")
        else:
            found = _mask_or_problem(cases[name], file)
            if isinstance(found, str):
                problems.append(f"case {name}: the corrected mask {found}")
            else:
                masks[name] = found
    if problems:
        raise UserError(summed_up(problems))
    return masks


def _mask_or_problem(case: Case, file: Path) -> Volume | str:
    try:
        mask, _ = with_integer_values(read_volume(file))
    except UserError as error:
        return f"cannot be read ({error.problems[0]})"
    of = "CT" if case.image is not None else "label"
    if difference := mask.geometry.disagreement(read_geometry(case.image or ranked_label(case))):
        return f"{difference} of the {of}"
    if values := non_binary_values(mask):
        return f"has the values {values}, expected 0 and 1 only"
    if not mask.array.any():
        return f"is empty: 0 of {count(mask.array.size, 'voxel')} are set"
    return Volume((mask.array != 0).astype(np.uint8), mask.affine)


def _row(case: Case, corrected: Path | None) -> Case:
    """A case of the new manifest. A training case that nobody checked has its label as the noisy one only."""
    trusted, groups = is_trusted(case), {name: value for name, value in case.groups.items() if name != TRUSTED}
    if corrected is not None:
        original = case.noisy if trusted else ranked_label(case)
        return replace(case, reference=corrected, noisy=original, groups=groups | {TRUSTED: "1"})
    groups |= {TRUSTED: str(int(trusted))}
    if trusted or case.noisy is not None or case.split != "train":
        return replace(case, groups=groups)
    return replace(case, reference=None, noisy=case.reference, groups=groups)


def _open(path: Path, found: Cohort) -> list[str]:
    """The cases that are not trusted, in the order of the cohort's ranking, or of its manifest."""
    left = [case.case_id for case in found.cases if not is_trusted(case)]
    file = default_folder(path) / TABLE
    order = read_ranking(file) if file.is_file() else []
    place = {case_id: number for number, case_id in enumerate(order)}
    return sorted(left, key=lambda case_id: place.get(case_id, len(place)))


def _refuse_foreign(dest: Path, files: Sequence[Path]) -> dict[str, list[object]]:
    """Refuse to replace files that no such call wrote, or that were changed since; the files that it wrote."""
    refuse_file(dest, NOUN, ADVICE)
    writer, written = read_list(dest)
    if dest.is_dir() and writer != NOUN and any(dest.iterdir()):
        raise UserError(f"{dest}: is not empty and not {NOUN}; {ADVICE}")
    for file in files:
        name = file.resolve().relative_to(dest.resolve()).as_posix()
        if file.exists() and written.get(name) != fingerprint(file):
            raise UserError(f"{dest}: {name} was changed after it was written; move it away or {ADVICE}")
    return written
