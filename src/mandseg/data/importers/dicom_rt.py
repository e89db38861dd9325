"""Imports an export of a planning system (CT series, RTSTRUCTs, RTDOSEs) without the identities of patients.

A CT series to which a structure set refers is a case. Several such series of a patient are cases of one subject. A CT
series without a structure set is skipped. A broken series fails with one line, and the others are imported.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.dicom.archive import Archive, Scan, read_archive
from mandseg.data.dicom.pseudonyms import default_key_file, read_or_make_key
from mandseg.data.dicom.selection import Selection, file_names, refuse_patterns_without_match
from mandseg.data.dicom.structures import StructureSet
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.dicom_case import ConvertedSeries, convert
from mandseg.data.importers.dicom_report import (
    REPORT,
    Names,
    left_over_rows,
    refuse_public_place,
    write_linking_table,
    write_report,
)
from mandseg.data.importers.import_cases import Importer, import_cases
from mandseg.data.splits import Splitting, split_cases
from mandseg.system.wording import count


@dataclass(frozen=True)
class Privacy:
    """The files with secrets."""

    key: Path = field(default_factory=default_key_file)
    linking_table: Path | None = None


@dataclass(frozen=True)
class DicomRt(Importer[Scan | ConvertedSeries, ConvertedSeries]):
    """Makes a case of every CT series to which a structure set refers."""

    source: Path
    selection: Selection
    privacy: Privacy
    splitting: Splitting
    title = "DICOM"

    @cached_property
    def names(self) -> Names:
        """The pseudonyms; a key is made if there is none."""
        structures = (*self.selection.structures, *self.selection.noisy_structures)
        return Names(read_or_make_key(self.privacy.key), self.selection.vocabulary, structures)

    def find(self, source: Path) -> list[Scan | ConvertedSeries]:
        """List the CT series, and one last entry for all other files."""
        archive = read_archive(source)
        if not archive.damaged:  # a damaged file may be the one that is meant
            doses = [dose.path for dose in (*archive.doses, *(dose for scan in archive.scans for dose in scan.doses))]
            refuse_patterns_without_match(self.selection, _structure_sets(archive), doses, source)
        names = self.names
        if self.privacy.linking_table is not None:
            write_linking_table(self.privacy.linking_table, archive, names, source)
        split_cases(_drafts(archive, names), self.splitting)  # refuses impossible splits before hours of reading
        failed, notes = _failed_without_ct(archive, names), _shared_ids(archive, names)
        rows = left_over_rows(archive, names)
        return [*archive.scans, ConvertedSeries(failed=tuple(failed), notes=tuple(notes), rows=tuple(rows))]

    def convert(self, found: Scan | ConvertedSeries, folder: Path) -> ConvertedSeries:
        """Convert a CT series with its labels and its dose; a broken one fails alone."""
        if isinstance(found, ConvertedSeries):
            return found
        return convert(found, self.source, folder, self.selection, self.names)

    def conclude(self, converted: list[ConvertedSeries], folder: Path) -> tuple[list[ConvertedSeries], list[str]]:
        """Write the report."""
        write_report(folder / REPORT, [row for result in converted for row in result.rows])
        return converted, []


def import_dicom_rt(
    source: Path,
    dest: Path,
    selection: Selection,
    privacy: Privacy | None = None,
    splitting: Splitting | None = None,
    overwrite: bool = False,
) -> Imported:
    """Make a cohort of an export: images, masks and doses as NIfTI, pseudonyms instead of names, no dates.

    Args:
        source: A folder tree with DICOM files in any order.
        dest: The cohort folder to write; column ``dose`` where there are doses, ``structure`` unless it is the
            mandible.
        selection: Which structure sets and ROIs are reference and noisy label.
        privacy: The key of the pseudonyms, and the file for the patients behind them, if any.
        splitting: How to split by subject; by default in the usual shares, or all in test if the subjects are too few.
        overwrite: Replace an existing cohort.

    Returns:
        The cohort; ``failed`` lists the patients that could not be imported.

    Raises:
        UserError: No file is DICOM, no patient could be imported, or a secret would lie in the cohort.
    """
    privacy, splitting = privacy or Privacy(), splitting or Splitting(if_too_few="test")
    refuse_public_place(privacy.key, dest, "the key")
    if privacy.linking_table is not None:
        refuse_public_place(privacy.linking_table, dest, "the linking table")
    return import_cases(
        DicomRt(source, selection, privacy, splitting), source, dest, splitting, overwrite, selection.structure
    )


def list_names(source: Path) -> list[str]:
    """List the structure sets of an export and their ROIs by their real names, for the terminal only."""
    archive = read_archive(source)
    lines = []
    for one in _structure_sets(archive):
        descriptions = {
            "label": one.label,
            "name": one.name,
            "description": one.series_description,
            "by": one.annotator,
        }
        words = ", ".join(f"{what} {text!r}" for what, text in descriptions.items() if text)
        rois = ", ".join(repr(roi.name) for roi in one.rois) or "none"
        lines.append(f"{file_names(one.path, source)[2]} ({words or 'no label'}): {rois}")
    return lines or [f"{source}: {len(archive.scans)} CT series and no structure set"]


def _structure_sets(archive: Archive) -> list[StructureSet]:
    """All structure sets, those without a CT last."""
    orphans = [record.structure_set for record, _ in archive.orphans if record.structure_set]
    return [*(one for scan in archive.scans for one in scan.structure_sets), *orphans]


def _failed_without_ct(archive: Archive, names: Names) -> list[str]:
    """List the patients with structure sets but without a CT, and count unreadable files of unknown patients."""
    with_ct = {scan.patient for scan in archive.scans}
    without = {record.patient: why for record, why in archive.orphans if record.patient not in with_ct}
    lines = [f"patient {names.patient(patient)}: {why}" for patient, why in without.items()]
    if unknown := [record for record in archive.damaged if record.patient not in with_ct | without.keys()]:
        lines.append(f"{count(len(unknown), 'file')} of no known patient: the first {unknown[0].problem}")
    return lines


def _shared_ids(archive: Archive, names: Names) -> list[str]:
    """Warn if several people share a PatientID, because they count as one subject."""
    people: dict[str, set[str]] = {}
    for scan in archive.scans:
        people.setdefault(scan.patient, set()).update(record.person for record in scan.records)
    text = "names or birth dates share a PatientID and count as one subject"
    return [f"WARNING: patient {names.patient(p)}: {len(own)} {text}" for p, own in people.items() if len(own) > 1]


def _drafts(archive: Archive, names: Names) -> list[Case]:
    """Make a case without files for every series with a structure set."""
    scans = [scan for scan in archive.scans if scan.structure_sets]
    return [
        Case(
            names.case(scan.patient, scan.uid, scan.frame_of_reference_uid),
            names.patient(scan.patient),
            "",
            None,
            None,
        )
        for scan in scans
    ]
