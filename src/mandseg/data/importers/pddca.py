"""Imports PDDCA 1.4.1, the set of the MICCAI 2015 challenge: NRRD files that stay in their folder.

Raudaschl et al., Med Phys 44:2020 (2017). Each case is a folder ``0522cNNNN`` with ``img.nrrd`` and
``structures/NAME.nrrd``. 17 of its patients are also in DeepMind's set under the same id, so ``subject_id`` is the id
that ``deepmind_tcia`` uses. The number decides the challenge's split.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.deepmind_tcia import subject_of
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.importers.organ_files import find_organ, image_files, image_named, one_label
from mandseg.data.importers.sides import side_notes
from mandseg.data.splits import Splitting
from mandseg.data.structure import MANDIBLE
from mandseg.system.errors import UserError

CASE = re.compile(r"0522c(\d{4})[a-z]?", re.IGNORECASE)
PARTS = ((328, "train", "train"), (479, "additional", "val"), (746, "off-site", "test"), (9999, "on-site", "test"))
"""Highest number, name in the challenge, split here. It had no validation set: the additional cases become one."""


@dataclass(frozen=True)
class Pddca(Importer[Path, Converted]):
    """Points at the image and the structure of each case.

    Args:
        structure: The structure by any of its names.
    """

    structure: str
    title = "PDDCA"

    def find(self, source: Path) -> list[Path]:
        """List the folders of the cases, at any depth: the provider hands them out in three parts."""
        found = sorted({path.parent for path in source.rglob("*") if path.name.lower() == "img.nrrd"})
        cases = [folder for folder in found if CASE.fullmatch(folder.name)]
        if not cases:
            raise UserError(f"{source}: no 0522cNNNN/img.nrrd; is this PDDCA?")
        return cases

    def convert(self, found: Path, folder: Path) -> Converted:
        """Point at a case's files; a case without the structure is skipped."""
        case_id = found.name.lower()
        structures = image_files(next((path for path in found.iterdir() if path.name.lower() == "structures"), found))
        organ = find_organ(structures, self.structure)
        if organ.missing:
            return Converted(skipped=f"case {case_id} skipped: {organ.missing} in structures")
        image = image_named(found, "img")
        label = one_label(case_id, "reference", organ.paths, image, folder / f"reference/{case_id}.nii.gz")
        if label is None:
            return Converted(skipped=f"case {case_id} skipped: {self.structure} is empty")
        part, split = part_of(case_id)
        case = Case(case_id, subject_of(case_id), split, image, label, groups={"official_split": part})
        return Converted(case, notes=side_notes(case_id, structures))


def part_of(case_id: str) -> tuple[str, str]:
    """Give the part of the challenge that a case belongs to, and the split it gets here.

    >>> part_of("0522c0328"), part_of("0522c0555")
    (('train', 'train'), ('off-site', 'test'))
    """
    match = CASE.fullmatch(case_id)
    number = int(match[1]) if match else 0
    return next((part, split) for highest, part, split in PARTS if number <= highest)


def import_pddca(
    source: Path, dest: Path, structure: str = MANDIBLE, all_in: str = "", overwrite: bool = False
) -> Imported:
    """Make a cohort of PDDCA with its official split.

    Args:
        source: The folder that holds the cases' folders, at any depth.
        dest: The cohort folder to write; grouping column ``official_split`` (train, additional, off-site, on-site).
        structure: The structure by any of its names.
        all_in: Put all cases into this split instead.
        overwrite: Replace an existing cohort.

    Raises:
        UserError: The source does not look like PDDCA, a file is damaged, or ``dest`` exists.
    """
    return import_cases(Pddca(structure), source, dest, Splitting(all_in=all_in), overwrite, structure)
