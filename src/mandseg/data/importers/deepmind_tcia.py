"""Imports DeepMind's TCIA set: contours of an oncologist and a radiographer as reference and noisy labels.

Nikolov et al. 2018 (arXiv 1809.04430), github google-deepmind/tcia-ct-scan-dataset. The NRRD files stay in their
folder, and the manifest points at them by relative paths, because 28 CTs have several GB. Move the source and the
cohort together, or import again.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.importers.organ_files import image_named
from mandseg.data.manifest import SPLITS
from mandseg.data.volume import read_volume
from mandseg.system.errors import UserError

ANNOTATORS = ("oncologist", "radiographer")
FOLDERS = ("test", "validation")
REPEATED_SCAN = re.compile(r"(0522c\d{4})[a-z]")  # 0522c0727a and 0522c0727b are two scans of one patient

COPIED_BELOW = 0.001  # share of differing voxels, below that of any two people: 3 of 13,103 in 0522c0457


@dataclass(frozen=True)
class Drawings:
    """One scan: its CT and the mandible of each annotator."""

    case_id: str
    folder: str  # test or validation, the provider's own split
    image: Path | None
    mandibles: dict[str, Path]  # annotator -> file


@dataclass(frozen=True)
class DeepMindTcia(Importer[Drawings, Converted]):
    """Makes a case of every scan that the reference's annotator contoured.

    Args:
        reference: The annotator of the reference, oncologist or radiographer.
        noisy: The annotator of the noisy label; the other one.
        split: The split of all cases.
    """

    reference: str
    noisy: str
    split: str
    title = "Comparing drawings"

    def find(self, source: Path) -> list[Drawings]:
        """List the scans, see ``find_drawings``."""
        return find_drawings(source, self.reference)

    def convert(self, found: Drawings, folder: Path) -> Converted:
        """Point at a scan's files, and note a noisy label that is missing or a copy of the reference."""
        if self.reference not in found.mandibles:
            return Converted(skipped=f"case {found.case_id} skipped: no mandible by the {self.reference}")
        case = Case(
            case_id=found.case_id,
            subject_id=subject_of(found.case_id),
            split=self.split,
            image=found.image,
            reference=found.mandibles[self.reference],
            noisy=found.mandibles.get(self.noisy),
            annotator=self.noisy if self.noisy in found.mandibles else "",
            groups={"official_split": found.folder},
        )
        if self.noisy not in found.mandibles:
            return Converted(case, notes=(f"case {found.case_id}: no mandible by the {self.noisy}, no noisy label",))
        n_different, n_voxels = differing_voxels(found.mandibles[ANNOTATORS[0]], found.mandibles[ANNOTATORS[1]])
        if n_different > COPIED_BELOW * n_voxels:
            return Converted(case)
        text = f"the two drawings differ in {n_different} of {n_voxels} voxels, one is a copy"
        return Converted(case, notes=(f"case {found.case_id}: {text}",))

    def conclude(self, converted: list[Converted], folder: Path) -> tuple[list[Converted], list[str]]:
        """Warn of cases without an image."""
        cases = [result.case for result in converted if result.case]
        if not (without := [case.case_id for case in cases if case.image is None]):
            return converted, []
        text = "the labels can be compared and checked, but not trained on or segmented"
        where = f"{len(without)} of {len(cases)} cases have no CT_IMAGE.nrrd (first: {without[0]})"
        return converted, [f"WARNING: {where}: {text}"]


def import_deepmind_tcia(
    source: Path,
    dest: Path,
    reference: str = "oncologist",
    noisy: str = "radiographer",
    split: str = "test",
    overwrite: bool = False,
) -> Imported:
    """Make a cohort of the pairs of contours, with or without the CTs.

    Args:
        source: The repository's folder, or its nrrds.
        dest: The cohort folder to write; grouping column ``official_split`` (test or validation).
        reference: The annotator of the reference, oncologist or radiographer.
        noisy: The annotator of the noisy label; the other one.
        split: The split of all cases in this study.
        overwrite: Replace an existing cohort.

    Raises:
        UserError: The source does not look like this set, a choice is wrong, or ``dest`` exists.
    """
    if {reference, noisy} != set(ANNOTATORS):
        raise UserError(f"reference {reference!r}, noisy {noisy!r}: expected one each of {' and '.join(ANNOTATORS)}")
    if split not in SPLITS:
        raise UserError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    return import_cases(DeepMindTcia(reference, noisy, split), source, dest, overwrite=overwrite)


def find_drawings(source: Path, image_of: str) -> list[Drawings]:
    """List the scans of nrrds/{test,validation}/{oncologist,radiographer}/ID, by ID.

    Args:
        source: The repository's folder, or its nrrds.
        image_of: The annotator whose copy of the CT is taken if both have one.
    """
    root = source / "nrrds" if (source / "nrrds").is_dir() else source
    found = []
    for folder in FOLDERS:
        ids = {path.name for annotator in ANNOTATORS for path in (root / folder / annotator).glob("*") if path.is_dir()}
        found += [_drawings(root / folder, case_id, image_of) for case_id in sorted(ids)]
    if not found:
        raise UserError(f"{root}: no {{test,validation}}/{{oncologist,radiographer}}/ID folder; is this nrrds?")
    return found


def subject_of(case_id: str) -> str:
    """Give the patient of a scan: 0522c0727 for 0522c0727a and 0522c0727b, otherwise the id itself."""
    repeated = REPEATED_SCAN.fullmatch(case_id)
    return repeated[1] if repeated else case_id


def differing_voxels(first_path: Path, second_path: Path) -> tuple[int, int]:
    """Count the voxels in which two label files differ and the voxels of the first; other grids differ everywhere."""
    first, second = read_volume(first_path).array, read_volume(second_path).array
    size = int(np.count_nonzero(first))
    return int(np.count_nonzero(first != second)) if first.shape == second.shape else size, size


def _drawings(folder: Path, case_id: str, image_of: str) -> Drawings:
    order = sorted(ANNOTATORS, key=lambda annotator: annotator != image_of)
    images = [image for annotator in order if (image := image_named(folder / annotator / case_id, "CT_IMAGE"))]
    mandibles = {
        annotator: mandible
        for annotator in ANNOTATORS
        if (mandible := image_named(folder / annotator / case_id / "segmentations", "mandible"))
    }
    return Drawings(case_id, folder.name, images[0] if images else None, mandibles)
