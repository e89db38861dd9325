"""Makes a cohort of the scans that two cohorts share: contours of one as noisy labels, of the other as references."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported, finish, lies_in, new_cohort_folder
from mandseg.data.loaded_case import examine
from mandseg.data.manifest import Cohort, manifest_file, read_cohort
from mandseg.data.resampling import resample_onto
from mandseg.data.same_patient.bone_alignment import onto_bone
from mandseg.data.same_patient.fingerprint import Fingerprint, fingerprint
from mandseg.data.same_patient.likeness import Shift
from mandseg.data.same_patient.search import find_matches
from mandseg.data.structure import COLUMN, VOLUME_COLUMN, is_same_structure, structure_name
from mandseg.data.volume import Volume, read_geometry, read_volume, write_volume
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each
from mandseg.system.wording import count


@dataclass(frozen=True)
class SharedScan:
    """A scan that both cohorts hold."""

    first: Case
    second: Case
    shift_mm: Shift
    """About what brings the second case onto the first, on RAS+ axes."""
    words: str
    """How sure it is, and why."""


def pair_cohorts(
    first: Path, second: Path, dest: Path, split: str = "test", overwrite: bool = False, workers: int | None = None
) -> Imported:
    """Find the scans that two cohorts share and write the pairs of contours on the grid of the first.

    Args:
        first: A cohort; its labels become the noisy ones.
        second: A cohort; its labels become the references.
        dest: The cohort folder to write; grouping columns ``paired_with``, ``shift_mm`` and ``found_by``.
        split: The split of all pairs.
        overwrite: Replace an existing cohort.
        workers: Number of processes.

    Raises:
        UserError: A manifest or a file is wrong, both cohorts are one or share a label
            file, no scan is shared, the labels show different structures, or ``dest``
            exists, lies in a cohort or holds a file of one.
    """
    cohorts = read_cohort(first), read_cohort(second)
    if manifest_file(first).samefile(manifest_file(second)):
        raise UserError(f"{second}: is the same cohort as {first}, expected two with contours of their own")
    with new_cohort_folder(_sources(cohorts, dest), dest, overwrite) as part:
        known = [list(for_each(_known, cohort.cases, f"Reading {cohort.name}", workers)) for cohort in cohorts]
        shared = []
        for match in find_matches(*known):
            cases = cohorts[0].cases[match.first], cohorts[1].cases[match.second]
            words = f"{match.likeness.verdict}: {match.likeness}"
            shared.append(SharedScan(*cases, match.shift_mm, words))
        _refuse_different_structures(shared)
        _refuse_one_label(shared)
        if not shared:
            raise UserError(f"{cohorts[0].name} and {cohorts[1].name}: no case of one shows a patient of the other")
        names = _names(shared)
        work = partial(_written, folder=part, split=split, annotator=cohorts[0].name)
        pairs = list(for_each(work, list(zip(shared, names, strict=True)), "Writing pairs", workers))
        notes = [
            f"case {name}: {scan.second.case_id} of {cohorts[1].name}, {scan.words}"
            for scan, name in zip(shared, names, strict=True)
        ]
        notes += _one_patient_notes(shared)
        finish(part, dest, pairs, notes=notes)
    return Imported(read_cohort(dest), notes=tuple(notes))


def _sources(cohorts: Sequence[Cohort], dest: Path) -> list[Path]:
    """The folders and the files of the cohorts, which must not be replaced; refuse to write into one of the folders."""
    for cohort in cohorts:
        if lies_in(dest, cohort.root):
            raise UserError(f"{dest}: lies in the cohort {cohort.root}; choose another folder with --out")
    files = [path for cohort in cohorts for case in cohort.cases for path in (case.image, case.reference, case.noisy)]
    return [*(cohort.root for cohort in cohorts), *(path for path in files if path is not None)]


def _refuse_different_structures(shared: Sequence[SharedScan]) -> None:
    for scan in shared:
        names = structure_name(scan.first), structure_name(scan.second)
        if not is_same_structure(*names):
            raise UserError(f"case {scan.first.case_id} shows {names[0]}, case {scan.second.case_id} shows {names[1]}")


def _refuse_one_label(shared: Sequence[SharedScan]) -> None:
    """Refuse pairs whose two contours are one file, as of two manifests of the same files."""
    same = [scan for scan in shared if _label(scan.first).samefile(_label(scan.second))]
    if same:
        names = f"case {same[0].first.case_id} of one and case {same[0].second.case_id} of the other cohort"
        text = f"{names} have one label file, {_label(same[0].first)}; expected two contours"
        raise UserError(text if len(same) == 1 else f"{text} (so in {count(len(same), 'pair')})")


def _one_patient_notes(shared: Sequence[SharedScan]) -> list[str]:
    """Name the subjects of the first cohort that are one patient of the second; they keep their ids."""
    subjects: dict[str, dict[str, None]] = {}
    for scan in shared:
        subjects.setdefault(scan.second.subject_id, {})[scan.first.subject_id] = None
    return [
        f"WARNING: subjects {', '.join(own)} are paired with one patient, {patient}: one patient under several names?"
        for patient, own in subjects.items()
        if len(own) > 1
    ]


def _known(case: Case) -> Fingerprint | None:
    """The fingerprint of a case; the label that the pairs are made of."""
    volumes, problems = examine(replace(case, noisy=None if case.reference else case.noisy))
    if problems:
        raise UserError(problems)
    return fingerprint(volumes.get("reference") or volumes["noisy"], volumes.get("image"))


def _names(shared: list[SharedScan]) -> list[str]:
    """Name each pair after the first cohort's case, and after both where a case is in two pairs."""
    ids = [scan.first.case_id for scan in shared]
    return [
        f"{scan.first.case_id}_{scan.second.case_id}" if ids.count(scan.first.case_id) > 1 else scan.first.case_id
        for scan in shared
    ]


def _written(named: tuple[SharedScan, str], folder: Path, split: str, annotator: str) -> Case:
    """Write the reference of a pair on the first cohort's grid; its image and its label stay where they are."""
    scan, name = named
    noisy = _label(scan.first)
    label = read_volume(_label(scan.second))
    shift_mm = scan.shift_mm
    if scan.first.image is not None and scan.second.image is None:
        shift_mm = onto_bone(read_volume(scan.first.image), label, shift_mm)
    moved = label.affine.copy()
    moved[:3, 3] += shift_mm
    grid = read_geometry(noisy)
    mask = resample_onto(Volume((label.array != 0).astype(np.float32), moved), grid) >= 0.5
    if not mask.any():
        raise UserError(f"case {name}: the label of {scan.second.case_id} lies outside the image")
    reference = folder / f"reference/{name}.nii.gz"
    write_volume(reference, Volume(mask.astype(np.uint8), grid.affine))
    groups = {name: scan.first.groups[name] for name in (COLUMN, VOLUME_COLUMN) if name in scan.first.groups}
    groups |= {
        "paired_with": scan.second.case_id,
        "shift_mm": " ".join(f"{mm:.2f}" for mm in shift_mm),
        "found_by": scan.words,
    }
    first = scan.first
    return Case(name, first.subject_id, split, first.image, reference, noisy, annotator, groups, dose=first.dose)


def _label(case: Case) -> Path:
    path = case.reference or case.noisy
    assert path is not None  # the manifest was checked
    return path
