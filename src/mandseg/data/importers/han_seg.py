"""Imports HaN-Seg: the CTs and their contours; the MR images are not registered to the CTs and are not used.

Podobnik et al., Med Phys 50:1917 (2023). Each case is a folder ``case_NN`` with ``case_NN_IMG_CT.nrrd``,
``case_NN_IMG_MR_T1.nrrd`` and ``case_NN_OAR_NAME.seg.nrrd``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.importers.organ_files import find_organ, image_files, image_named, one_label
from mandseg.data.importers.sides import side_notes
from mandseg.data.splits import Splitting
from mandseg.data.structure import MANDIBLE
from mandseg.system.errors import UserError

CASE = re.compile(r"case_\d+", re.IGNORECASE)


@dataclass(frozen=True)
class HanSeg(Importer[Path, Converted]):
    """Points at the CT and the structure of each case.

    Args:
        structure: The structure by any of its names.
    """

    structure: str
    title = "HaN-Seg"

    def find(self, source: Path) -> list[Path]:
        """List the folders case_NN at any depth."""
        cases = sorted(path for path in source.rglob("*") if path.is_dir() and CASE.fullmatch(path.name))
        if not cases:
            raise UserError(f"{source}: no case_NN folder; is this HaN-Seg?")
        return cases

    def convert(self, found: Path, folder: Path) -> Converted:
        """Point at a case's files; a case without the CT or the structure is skipped."""
        case_id = found.name.lower()
        image = image_named(found, f"{found.name}_IMG_CT")
        if image is None:
            return Converted(skipped=f"case {case_id} skipped: no {found.name}_IMG_CT")
        prefix = f"{case_id}_oar_"
        files = image_files(found).items()
        contours = {name[len(prefix) :]: path for name, path in files if name.lower().startswith(prefix)}
        organ = find_organ(contours, self.structure)
        if organ.missing:
            return Converted(skipped=f"case {case_id} skipped: {organ.missing}")
        label = one_label(case_id, "reference", organ.paths, image, folder / f"reference/{case_id}.nii.gz")
        if label is None:
            return Converted(skipped=f"case {case_id} skipped: {self.structure} is empty")
        case = Case(case_id, f"hanseg_{case_id}", "", image, label)
        return Converted(case, notes=side_notes(case_id, contours))


def import_han_seg(
    source: Path,
    dest: Path,
    structure: str = MANDIBLE,
    splitting: Splitting | None = None,
    overwrite: bool = False,
) -> Imported:
    """Make a cohort of HaN-Seg's CTs.

    Args:
        source: The set's folder, or its set_1.
        dest: The cohort folder to write.
        structure: The structure by any of its names.
        splitting: How to split by subject, by default 0.7, 0.1, 0.2; the published part of the set has no split.
        overwrite: Replace an existing cohort.

    Raises:
        UserError: The source does not look like HaN-Seg, a file is damaged, or ``dest`` exists.
    """
    return import_cases(HanSeg(structure), source, dest, splitting, overwrite, structure)
