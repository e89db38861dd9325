"""An export of a planning system in, a cohort without patients' identities out: CT series, RTSTRUCTs and RTDOSEs.

A CT series that a structure set refers to is a case. A patient with several such series has several cases that share a
subject. A CT series without a structure set is left out. What is broken fails with one line, and the others go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.dicom.archive import Archive, read_archive
from mandseg.data.dicom.pseudonyms import default_key_file, read_or_make_key
from mandseg.data.dicom.selection import Selection, file_names
from mandseg.data.importers.cohort_folder import Imported, finish, imported, new_cohort_folder
from mandseg.data.importers.dicom_case import PENDING, convert
from mandseg.data.importers.dicom_report import (
    REPORT,
    Names,
    left_over_rows,
    refuse_public_place,
    report_text,
    write_linking_table,
)
from mandseg.data.importers.folder import Splitting
from mandseg.data.manifest import SPLITS
from mandseg.data.splits import split_by_subject
from mandseg.system.errors import UserError
from mandseg.system.files import write_text
from mandseg.system.progress import for_each


@dataclass(frozen=True)
class Privacy:
    """Where the secrets are."""

    key: Path = field(default_factory=default_key_file)
    linking_table: Path | None = None


@dataclass(frozen=True)
class ImportedDicom(Imported):
    """What came of an import, and which patients failed."""

    failed: tuple[str, ...] = ()
    """One line each."""


def import_dicom_rt(
    source: Path,
    dest: Path,
    selection: Selection,
    privacy: Privacy | None = None,
    splitting: Splitting | None = None,
    overwrite: bool = False,
) -> ImportedDicom:
    """Make a cohort of an export: images, masks and doses as NIfTI, pseudonyms instead of names, no dates.

    Args:
        source: A folder tree with DICOM files in any order.
        dest: The cohort folder to write; column ``dose`` where there are doses.
        selection: Which structure sets and ROIs are reference and noisy label.
        privacy: The key of the pseudonyms, and where to write who is behind them, if anywhere.
        splitting: How to split by subject; by default in the usual shares, or all in test where they are too few.
        overwrite: Replace a cohort that is there already.

    Raises:
        UserError: Nothing is DICOM, no patient could be imported, a secret would lie in the cohort.
    """
    privacy = privacy or Privacy()
    refuse_public_place(privacy.key, dest, "the key")
    if privacy.linking_table is not None:
        refuse_public_place(privacy.linking_table, dest, "the linking table")
    with new_cohort_folder(source, dest, overwrite) as part:
        archive = read_archive(source)
        said = (*selection.structures, *selection.noisy_structures)
        names = Names(read_or_make_key(privacy.key), selection.vocabulary, said)
        if privacy.linking_table is not None:
            write_linking_table(privacy.linking_table, archive, names, source)
        if drafts := _drafts(archive, names):
            _split(drafts, splitting)  # refuses splits that cannot work before hours of reading
        work = partial(convert, source=source, dest=part, selection=selection, names=names)
        outcomes = list(for_each(work, archive.scans, "DICOM"))
        failed = [outcome.failed for outcome in outcomes if outcome.failed] + _failed_without_ct(archive, names)
        skipped = [outcome.skipped for outcome in outcomes if outcome.skipped]
        rows = [row for outcome in outcomes for row in outcome.rows] + left_over_rows(archive, names)
        write_text(part / REPORT, report_text(rows))
        found = [outcome.case for outcome in outcomes if outcome.case]
        cases, split_note = _split(found, splitting) if found else ([], "")
        notes = [note for outcome in outcomes for note in outcome.notes]
        notes += [note for note in (*_shared_ids(archive, names), split_note) if note]
        finish(part, dest, cases, [*failed, *skipped], notes)
    done = imported(dest, skipped, notes)
    return ImportedDicom(done.cohort, done.skipped, done.notes, tuple(failed))


def list_names(source: Path) -> list[str]:
    """List the structure sets of an export and their ROIs as they are named: for the user's eyes, never written."""
    archive = read_archive(source)
    orphans = [record.structure_set for record, _ in archive.orphans if record.structure_set]
    lines = []
    for one in [*(one for scan in archive.scans for one in scan.structure_sets), *orphans]:
        said = {"label": one.label, "name": one.name, "description": one.series_description, "by": one.annotator}
        words = ", ".join(f"{what} {text!r}" for what, text in said.items() if text)
        rois = ", ".join(repr(roi.name) for roi in one.rois) or "none"
        lines.append(f"{file_names(one.path, source)[2]} ({words or 'no label'}): {rois}")
    return lines


def _failed_without_ct(archive: Archive, names: Names) -> list[str]:
    """Say which patients have structure sets but no CT at all, and how many files nobody can read."""
    with_ct = {scan.patient for scan in archive.scans}
    without = {record.patient: why for record, why in archive.orphans if record.patient not in with_ct}
    lines = [f"patient {names.patient(patient)}: {why}" for patient, why in without.items()]
    if unknown := [record for record in archive.damaged if record.patient not in with_ct | without.keys()]:
        lines.append(f"{len(unknown)} DICOM files of no known patient: {unknown[0].problem}")
    return lines


def _shared_ids(archive: Archive, names: Names) -> list[str]:
    """Warn of one PatientID under which several people are named: they count as one subject."""
    people: dict[str, set[str]] = {}
    for scan in archive.scans:
        people.setdefault(scan.patient, set()).update(record.person for record in scan.records)
    text = "names or birth dates share a PatientID and count as one subject"
    return [f"WARNING: patient {names.patient(p)}: {len(own)} {text}" for p, own in people.items() if len(own) > 1]


def _drafts(archive: Archive, names: Names) -> list[Case]:
    """Make a case without files of every series that might become one."""
    scans = [scan for scan in archive.scans if scan.structure_sets]
    return [
        Case(
            names.case(scan.patient, scan.uid, scan.frame_of_reference_uid),
            names.patient(scan.patient),
            PENDING,
            None,
            None,
        )
        for scan in scans
    ]


def _split(cases: Sequence[Case], splitting: Splitting | None) -> tuple[list[Case], str]:
    """Give every case a split, by subject."""
    if splitting is None:
        try:
            return _split(cases, Splitting())
        except UserError as error:
            text = f"{error.problems[0]}: all are in test; --fractions or --all-in puts them elsewhere"
            return _split(cases, Splitting(all_in="test"))[0], text
    if splitting.all_in and splitting.all_in not in SPLITS:
        raise UserError(f"all in {splitting.all_in!r}: expected one of {', '.join(SPLITS)}")
    if splitting.all_in:
        return split_by_subject(cases, [float(split == splitting.all_in) for split in SPLITS], splitting.seed), ""
    text = ", ".join(f"{share:g}" for share in splitting.fractions)
    note = f"no splits given: subjects drawn with seed {splitting.seed}, fractions {text}"
    return split_by_subject(cases, splitting.fractions, splitting.seed), note
