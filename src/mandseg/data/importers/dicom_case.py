"""Converts one CT series with its structure sets and doses to the files of a case, or reports why it cannot."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.dicom.archive import Scan
from mandseg.data.dicom.dose import read_dose
from mandseg.data.dicom.pixels import read_ct
from mandseg.data.dicom.rasterisation import rasterise
from mandseg.data.dicom.selection import Absent, Selection, file_names, fits, matches
from mandseg.data.dicom.series import Series
from mandseg.data.dicom.structures import Roi, StructureSet, read_structure_set
from mandseg.data.importers.dicom_report import Names, Row
from mandseg.data.importers.hounsfield import HU_IF_BELOW, looks_like_hu
from mandseg.data.importers.import_cases import Converted
from mandseg.data.volume import Volume, write_volume
from mandseg.metrics.masks import Mask
from mandseg.system.errors import UserError
from mandseg.system.wording import count

IMPORTED = "imported"


@dataclass(frozen=True)
class ConvertedSeries(Converted):
    """A converted CT series with its rows of the report."""

    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class _Label:
    """A mask and its origin."""

    mask: Mask
    structure_set: StructureSet
    taken: frozenset[int]  # numbers of the ROIs
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Dose:
    """The dose on its own grid, or a note why there is none."""

    volume: Volume | None = None
    sop_uid: str = ""
    note: str = ""


def convert(scan: Scan, source: Path, dest: Path, selection: Selection, names: Names) -> ConvertedSeries:
    """Read one CT series with its labels and its dose, and write them if all are valid.

    Args:
        scan: The series and what belongs to it.
        source: The export, which file names are relative to.
        dest: The cohort folder that grows.
        selection: What is the reference and what the noisy label.
        names: Gives the pseudonyms.
    """
    name = names.case(scan.patient, scan.uid, scan.frame_of_reference_uid)
    try:
        scan.refuse_problem()
        if not scan.structure_sets:
            raise Absent("no structure set refers to this CT")
        with _refusing_orphans(scan, selection.reference, selection.structures, selection, source):
            chosen = selection.reference_set(scan.structure_sets, source)
        _refuse_missing_images(scan, chosen)
        series = scan.series()
        reference = _label(scan, series, chosen, selection.structures, selection)
        noisy, noisy_note = _noisy(scan, series, chosen, selection, source)
        image = read_ct(series)
    except Absent as absent:
        why = absent.problems[0]
        return ConvertedSeries(skipped=f"case {name} skipped: {why}", rows=_rows(scan, names, f"left out: {why}"))
    except UserError as error:
        why = error.problems[0]
        return ConvertedSeries(failed=(f"case {name}: {why}",), rows=_rows(scan, names, f"failed: {why}"))
    except MemoryError:
        why = "its voxels need more memory than this machine has"
        return ConvertedSeries(failed=(f"case {name}: {why}",), rows=_rows(scan, names, f"failed: {why}"))
    dose = _dose(scan, selection.dose, source)
    volumes = {
        "image": image,
        "reference": Volume(reference.mask, image.affine),
        "noisy": Volume(noisy.mask, image.affine) if noisy else None,
        "dose": dose.volume,
    }
    annotator = names.pseudonyms.person(noisy.structure_set.annotator) if noisy else ""
    case = _write(name, names.patient(scan.patient), annotator, dest, volumes)
    notes = [*series.notes, *_prefixed("reference", reference), *_prefixed("noisy", noisy), noisy_note, dose.note]
    notes += [_strangers(scan), "" if looks_like_hu(image.array) else f"WARNING: no value below {HU_IF_BELOW}: not HU?"]
    rows = _rows(scan, names, IMPORTED, reference, noisy, dose)
    return ConvertedSeries(case, notes=tuple(f"case {name}: {note}" for note in notes if note), rows=rows)


def _label(scan: Scan, series: Series, chosen: StructureSet, wanted: Sequence[str], selection: Selection) -> _Label:
    """Rasterise the chosen ROIs of a structure set on a CT.

    Raises:
        Absent: It holds no such ROI.
        UserError: It refers to images that are not there, or its contours make no mask.
    """
    structure_set = read_structure_set(chosen.path, selection.candidates(chosen, wanted))
    rois = selection.rois(structure_set, wanted)
    _refuse_missing_images(scan, structure_set, rois)
    mask = np.zeros(series.geometry.shape, bool)
    notes: list[str] = []
    for roi in rois:
        other = roi.frame_of_reference_uid
        if other and scan.frame_of_reference_uid and other != scan.frame_of_reference_uid:
            raise UserError(f"ROI {wanted[0]} lies in another frame of reference than the CT, expected the same")
        try:
            found = rasterise(roi, series)
        except UserError as error:
            raise UserError(f"ROI {wanted[0]} {error.problems[0]}") from error
        mask |= found.mask
        notes += found.notes
    return _Label(mask, structure_set, frozenset(roi.number for roi in rois), tuple(notes))


@contextmanager
def _refusing_orphans(
    scan: Scan, pattern: str, wanted: Sequence[str], selection: Selection, source: Path
) -> Iterator[None]:
    """Fail where the wanted structure set is absent among those of the CT, but there and without a CT.

    Raises:
        UserError: The reason why it has no CT.
    """
    try:
        yield
    except Absent:
        for one, why in scan.orphans:
            if (not pattern or matches(pattern, one, source)) and selection.candidates(one, wanted):
                raise UserError(why) from None
        raise


def _refuse_missing_images(scan: Scan, structure_set: StructureSet, rois: Sequence[Roi] = ()) -> None:
    there = {record.sop_uid for record in scan.records}
    drawn_on = {uid for roi in rois for contour in roi.contours for uid in contour.image_uids}
    expected = {*structure_set.image_uids.get(scan.uid, ()), *drawn_on}
    if missing := expected - there:
        raise UserError(
            f"the structure set refers to {count(len(expected), 'image')}, {len(missing)} of them not among the "
            f"{len(there)} of the CT series"
        )


def _noisy(
    scan: Scan, series: Series, reference: StructureSet, selection: Selection, source: Path
) -> tuple[_Label | None, str]:
    """Read the noisy label; return a note if it is wanted but missing.

    Raises:
        UserError: It is broken, or the structure set is the reference's.
    """
    try:
        wanted = selection.noisy_structures or selection.structures
        with _refusing_orphans(scan, selection.noisy, wanted, selection, source):
            chosen = selection.noisy_set(scan.structure_sets, source)
        if chosen is None:
            return None, ""
        if chosen.path == reference.path and not selection.noisy_structures:
            raise UserError("--reference and --noisy choose the same structure set, expected two")
        return _label(scan, series, chosen, wanted, selection), ""
    except Absent as absent:
        return None, f"no noisy label: {absent.problems[0]}"
    except UserError as error:
        raise UserError(f"noisy label: {error.problems[0]}") from error


def _dose(scan: Scan, pattern: str, source: Path) -> _Dose:
    """Read the dose of the complete plan if there is exactly one. Doses of beams or fractions are never added."""
    wanted = [dose for dose in scan.doses if not pattern or fits(pattern, file_names(dose.path, source))]
    found, problems = [], []
    for record in wanted:
        try:
            found.append((record, read_dose(record.path)))
        except UserError as error:
            problems.append(error.problems[0])
    of_plan = [(record, dose) for record, dose in found if dose.of_whole_plan]
    if len(of_plan) == 1:
        record, dose = of_plan[0]
        return _Dose(dose.volume, record.sop_uid)
    if of_plan:
        return _Dose(note=f"no dose: {len(of_plan)} doses of whole plans, expected 1; choose one with --dose")
    if wanted:
        sums = ", ".join(sorted({dose.sum_of for _, dose in found}))
        none = f"none of {len(found)} is that of a whole plan (DoseSummationType {sums})"
        return _Dose(note=f"no dose: {problems[0] if problems else none}")
    return _Dose()


def _write(name: str, subject: str, annotator: str, dest: Path, volumes: Mapping[str, Volume | None]) -> Case:
    """Write a case's files."""
    paths = {key: dest / key / f"{name}.nii.gz" for key, volume in volumes.items() if volume is not None}
    for key, volume in volumes.items():
        if volume is not None:
            write_volume(paths[key], volume)
    return Case(
        case_id=name,
        subject_id=subject,
        split="",
        image=paths["image"],
        reference=paths["reference"],
        noisy=paths.get("noisy"),
        annotator=annotator,
        dose=paths.get("dose"),
    )


def _rows(
    scan: Scan,
    names: Names,
    outcome: str,
    reference: _Label | None = None,
    noisy: _Label | None = None,
    dose: _Dose = _Dose(),
) -> tuple[Row, ...]:
    """List a CT series, its structure sets, their ROIs and its doses, each with its outcome."""
    patient = names.patient(scan.patient)
    rows = [Row(patient, "CT series", names.object(scan.uid), "", len(scan.records), outcome)]
    for one in scan.structure_sets:
        labels = {"reference": reference, "noisy": noisy}
        own = {role: label for role, label in labels.items() if label and label.structure_set.path == one.path}
        uid = names.object(one.sop_uid)
        done = " and ".join(own) or ("left out: not chosen" if outcome == IMPORTED else outcome)
        rows.append(Row(patient, "structure set", uid, "", 1, done))
        for roi in one.rois:
            roles = " and ".join(role for role, label in own.items() if roi.number in label.taken)
            left_out = "left out: not chosen" if outcome == IMPORTED else outcome
            rows.append(Row(patient, "ROI", uid, names.roi(roi.name), 1, roles or left_out))
    for record in scan.doses:
        done = dose.note.replace("no dose", "left out") or outcome
        if dose.sop_uid and dose.sop_uid != record.sop_uid:
            done = "left out: another dose was chosen"
        rows.append(Row(patient, "dose", names.object(record.sop_uid), "", 1, done))
    return tuple(rows)


def _strangers(scan: Scan) -> str:
    others = [one for one in scan.structure_sets if one.patient and one.patient != scan.patient]
    text = "give another PatientID than their CT; they were matched by their UIDs"
    return f"WARNING: {len(others)} of {len(scan.structure_sets)} structure sets {text}" if others else ""


def _prefixed(what: str, label: _Label | None) -> list[str]:
    return [f"{what}: {note}" for note in label.notes] if label else []
