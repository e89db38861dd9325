"""DeepMind's TCIA set, every scan contoured by an oncologist and a radiographer, as reference and noisy labels.

Nikolov et al. 2018 (arXiv 1809.04430), github google-deepmind/tcia-ct-scan-dataset. The files stay where they are:
they are NRRD, read without loss, and the manifest points at them by relative paths. Copying 28 CTs would double
several GB and leave two truths; move the source and the cohort together, or import again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported, finish, imported, new_cohort_folder, plain_name
from mandseg.data.manifest import SPLITS
from mandseg.data.volume import is_image_file, read_volume
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each

ANNOTATORS = ("oncologist", "radiographer")
FOLDERS = ("test", "validation")
REPEATED_SCAN = re.compile(r"(0522c\d{4})[a-z]")  # 0522c0727a and 0522c0727b are two scans of one patient

COPIED_BELOW = 0.001  # share of voxels; two people never agree so well: 0522c0457 differs in 3 of 13,103 voxels


@dataclass(frozen=True)
class Drawings:
    """One scan: its CT and who drew its mandible where."""

    case_id: str
    folder: str  # test or validation, the provider's own split
    image: Path | None
    mandibles: dict[str, Path]  # annotator -> file


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
        reference: Whose contour is the reference, oncologist or radiographer.
        noisy: Whose contour is the noisy label; the other one.
        split: The split of this study that all cases go into.
        overwrite: Replace a cohort that is there already.

    Raises:
        UserError: Nothing that looks like this set, a wrong choice, ``dest`` exists.
    """
    if {reference, noisy} != set(ANNOTATORS):
        raise UserError(f"reference {reference!r}, noisy {noisy!r}: expected one each of {' and '.join(ANNOTATORS)}")
    if split not in SPLITS:
        raise UserError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    with new_cohort_folder(source, dest, overwrite) as part:
        scans = find_drawings(source, reference)
        skipped = [f"case {s.case_id} skipped: no mandible by the {reference}" for s in scans if _lacks(s, reference)]
        kept = [scan for scan in scans if not _lacks(scan, reference)]
        notes = _notes(kept, noisy)
        finish(part, dest, [_case(scan, reference, noisy, split) for scan in kept], skipped, notes)
    return imported(dest, skipped, notes)


def find_drawings(source: Path, image_of: str) -> list[Drawings]:
    """List the scans of nrrds/{test,validation}/{oncologist,radiographer}/ID, by ID.

    Args:
        source: The repository's folder, or its nrrds.
        image_of: The annotator whose copy of the CT is taken where both hold one.
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
    """Give the patient of a scan: 0522c0727a and 0522c0727b are 0522c0727, every other id stands for itself."""
    repeated = REPEATED_SCAN.fullmatch(case_id)
    return repeated[1] if repeated else case_id


def differing_voxels(paths: tuple[Path, Path]) -> tuple[int, int]:
    """Count the voxels in which two label files differ, and those of the first; other grids differ everywhere."""
    first, second = (read_volume(path).array for path in paths)
    size = int(np.count_nonzero(first))
    return int(np.count_nonzero(first != second)) if first.shape == second.shape else size, size


def _drawings(folder: Path, case_id: str, image_of: str) -> Drawings:
    order = sorted(ANNOTATORS, key=lambda annotator: annotator != image_of)
    images = [image for annotator in order if (image := _named(folder / annotator / case_id, "ctimage"))]
    mandibles = {
        annotator: mandible
        for annotator in ANNOTATORS
        if (mandible := _named(folder / annotator / case_id / "segmentations", "mandible"))
    }
    return Drawings(case_id, folder.name, images[0] if images else None, mandibles)


def _named(folder: Path, name: str) -> Path | None:
    """Find the image file of this name, whatever its case, hyphens, underscores and blanks."""
    files = folder.iterdir() if folder.is_dir() else ()
    return next((path for path in sorted(files) if is_image_file(path) and plain_name(path.name) == name), None)


def _lacks(scan: Drawings, annotator: str) -> bool:
    return annotator not in scan.mandibles


def _case(scan: Drawings, reference: str, noisy: str, split: str) -> Case:
    return Case(
        case_id=scan.case_id,
        subject_id=subject_of(scan.case_id),
        split=split,
        image=scan.image,
        reference=scan.mandibles[reference],
        noisy=scan.mandibles.get(noisy),
        annotator=noisy if noisy in scan.mandibles else "",
        groups={"official_split": scan.folder},
    )


def _notes(scans: Sequence[Drawings], noisy: str) -> list[str]:
    notes = [
        f"case {scan.case_id}: no mandible by the {noisy}, no noisy label" for scan in scans if _lacks(scan, noisy)
    ]
    pairs = [scan for scan in scans if len(scan.mandibles) == 2]
    files = [(scan.mandibles[ANNOTATORS[0]], scan.mandibles[ANNOTATORS[1]]) for scan in pairs]
    for scan, (n_different, n_voxels) in zip(
        pairs, for_each(differing_voxels, files, "Comparing drawings"), strict=True
    ):
        if n_different <= COPIED_BELOW * n_voxels:
            notes.append(
                f"case {scan.case_id}: the two drawings differ in {n_different} of {n_voxels} voxels, one is a copy"
            )
    if without := [scan.case_id for scan in scans if scan.image is None]:
        text = "the labels can be compared and checked, but not trained on or segmented"
        notes.append(
            f"WARNING: {len(without)} of {len(scans)} cases have no CT_IMAGE.nrrd (first: {without[0]}): {text}"
        )
    return notes
