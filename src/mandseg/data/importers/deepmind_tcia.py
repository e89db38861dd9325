"""Imports DeepMind's TCIA set: contours of an oncologist and a radiographer as reference and noisy labels.

Nikolov et al. 2018 (arXiv 1809.04430), github google-deepmind/tcia-ct-scan-dataset. The NRRD files stay in their
folder, and the manifest points at them by relative paths, because 28 CTs have several GB. Move the source and the
cohort together, or import again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.importers.organ_files import OrganFiles, find_organ, image_files, image_named, one_label
from mandseg.data.importers.sides import side_notes
from mandseg.data.manifest import SPLITS
from mandseg.data.structure import MANDIBLE
from mandseg.data.volume import read_volume
from mandseg.system.errors import UserError
from mandseg.system.wording import count, some_of

ANNOTATORS = ("oncologist", "radiographer")
FOLDERS = ("test", "validation")
REPEATED_SCAN = re.compile(r"(0522c\d{4})[a-z]")  # 0522c0727a and 0522c0727b are two scans of one patient

COPIED_BELOW = 0.001  # share of differing voxels, below that of any two people: 3 of 13,103 in 0522c0457


@dataclass(frozen=True)
class Drawings:
    """One scan: its CT and the contours of each annotator."""

    case_id: str
    folder: str  # test or validation, the provider's own split
    image: Path | None
    contours: dict[str, OrganFiles]  # annotator -> the files of the structure
    structures: dict[str, Path]  # all structures of the reference's annotator


@dataclass(frozen=True)
class DeepMindTcia(Importer[Drawings, Converted]):
    """Makes a case of every scan that the reference's annotator contoured.

    Args:
        reference: The annotator of the reference, oncologist or radiographer.
        noisy: The annotator of the noisy label; the other one.
        split: The split of all cases.
        structure: The structure by any of its names.
    """

    reference: str
    noisy: str
    split: str
    structure: str
    title = "Comparing drawings"

    def find(self, source: Path) -> list[Drawings]:
        """List the scans, see ``find_drawings``."""
        return find_drawings(source, self.reference, self.structure)

    def convert(self, found: Drawings, folder: Path) -> Converted:
        """Point at a scan's files, and note a noisy label that is missing or a copy of the reference."""
        labels: dict[str, Path] = {}
        missing: dict[str, str] = {}
        for column, annotator in (("reference", self.reference), ("noisy", self.noisy)):
            organ = found.contours[annotator]
            if label := _label(found.case_id, column, organ.paths, folder):
                labels[column] = label
            else:
                missing[column] = f"{organ.missing or f'an empty {self.structure}'} by the {annotator}"
        if "reference" in missing:
            return Converted(skipped=f"case {found.case_id} skipped: {missing['reference']}")
        case = Case(
            case_id=found.case_id,
            subject_id=subject_of(found.case_id),
            split=self.split,
            image=found.image,
            reference=labels["reference"],
            noisy=labels.get("noisy"),
            annotator=self.noisy if "noisy" in labels else "",
            groups={"official_split": found.folder},
        )
        notes = side_notes(found.case_id, found.structures)
        if "noisy" in missing:
            return Converted(case, notes=(*notes, f"case {found.case_id}: {missing['noisy']}, no noisy label"))
        n_different, n_voxels = differing_voxels(labels["reference"], labels["noisy"])
        if n_different > COPIED_BELOW * n_voxels:
            return Converted(case, notes=notes)
        text = f"the two drawings differ in {n_different} of {count(n_voxels, 'voxel')}, one is a copy"
        return Converted(case, notes=(*notes, f"case {found.case_id}: {text}"))

    def conclude(self, converted: list[Converted], folder: Path) -> tuple[list[Converted], list[str]]:
        """Warn of cases without an image."""
        cases = [result.case for result in converted if result.case]
        if not (without := [case.case_id for case in cases if case.image is None]):
            return converted, []
        text = "the labels can be compared and checked, but not trained on or segmented"
        where = f"{some_of(len(without), len(cases), 'case', 'have')} no CT_IMAGE.nrrd (first: {without[0]})"
        return converted, [f"WARNING: {where}: {text}"]


def import_deepmind_tcia(
    source: Path,
    dest: Path,
    reference: str = "oncologist",
    noisy: str = "radiographer",
    split: str = "test",
    overwrite: bool = False,
    structure: str = MANDIBLE,
) -> Imported:
    """Make a cohort of the pairs of contours, with or without the CTs.

    Args:
        source: The repository's folder, or its nrrds.
        dest: The cohort folder to write; grouping column ``official_split`` (test or validation).
        reference: The annotator of the reference, oncologist or radiographer.
        noisy: The annotator of the noisy label; the other one.
        split: The split of all cases in this study.
        overwrite: Replace an existing cohort.
        structure: The structure by any of its names.

    Raises:
        UserError: The source does not look like this set, a choice is wrong, or ``dest`` exists.
    """
    if {reference, noisy} != set(ANNOTATORS):
        raise UserError(f"reference {reference!r}, noisy {noisy!r}: expected one each of {' and '.join(ANNOTATORS)}")
    if split not in SPLITS:
        raise UserError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    return import_cases(
        DeepMindTcia(reference, noisy, split, structure), source, dest, overwrite=overwrite, structure=structure
    )


def find_drawings(source: Path, image_of: str, structure: str = MANDIBLE) -> list[Drawings]:
    """List the scans of nrrds/{test,validation}/{oncologist,radiographer}/ID, by ID.

    Args:
        source: The repository's folder, or its nrrds.
        image_of: The annotator whose copy of the CT is taken if both have one.
        structure: The structure by any of its names.
    """
    root = source / "nrrds" if (source / "nrrds").is_dir() else source
    found = []
    for folder in FOLDERS:
        ids = {path.name for annotator in ANNOTATORS for path in (root / folder / annotator).glob("*") if path.is_dir()}
        found += [_drawings(root / folder, case_id, image_of, structure) for case_id in sorted(ids)]
    if not found:
        raise UserError(f"{root}: no {{test,validation}}/{{oncologist,radiographer}}/ID folder; is this nrrds?")
    return found


def subject_of(case_id: str) -> str:
    """Give the patient of a scan: 0522c0727 for 0522c0727a and 0522c0727b, otherwise the id itself."""
    repeated = REPEATED_SCAN.fullmatch(case_id)
    return repeated[1] if repeated else case_id


def differing_voxels(first_path: Path, second_path: Path) -> tuple[int, int]:
    """Count the voxels in which two label files differ and the voxels of the first; other grids differ everywhere."""
    first, second = read_volume(first_path), read_volume(second_path)
    size = int(np.count_nonzero(first.array))
    is_one_grid = first.geometry.disagreement(second.geometry) is None
    return int(np.count_nonzero(first.array != second.array)) if is_one_grid else size, size


def _drawings(folder: Path, case_id: str, image_of: str, structure: str) -> Drawings:
    order = sorted(ANNOTATORS, key=lambda annotator: annotator != image_of)
    images = [image for annotator in order if (image := image_named(folder / annotator / case_id, "CT_IMAGE"))]
    files = {annotator: image_files(folder / annotator / case_id / "segmentations") for annotator in ANNOTATORS}
    contours = {annotator: find_organ(own, structure) for annotator, own in files.items()}
    return Drawings(case_id, folder.name, images[0] if images else None, contours, files[image_of])


def _label(case_id: str, column: str, paths: Sequence[Path], folder: Path) -> Path | None:
    """The file of a contour; halves are merged. None without a file, or if the merged halves are empty."""
    if len(paths) < 2:
        return paths[0] if paths else None
    return one_label(case_id, column, paths, None, folder / f"{column}/{case_id}.nii.gz")
