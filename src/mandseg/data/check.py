"""Checks a cohort before training: files in, findings out.

Errors are the problems that a training refuses, so a cohort without errors can be trained on.
Warnings are suspicious: they may be right, but often are not.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from mandseg.data.case import Case
from mandseg.data.dose.planned import dose_warnings
from mandseg.data.identities import identity_warnings
from mandseg.data.importers.hounsfield import bright_padding, not_hu
from mandseg.data.loaded_case import examine, orientation_doubts
from mandseg.data.manifest import Cohort, examine_manifest
from mandseg.data.nifti_forms import position_doubts
from mandseg.data.same_patient.fingerprint import Fingerprint, fingerprint
from mandseg.data.same_patient.suspicion import find_suspicions
from mandseg.data.structure import Structure, structure_of
from mandseg.data.volume import Geometry, Volume
from mandseg.metrics.masks import Mask, bounding_box, connected_pieces, dice
from mandseg.system.files import is_file
from mandseg.system.progress import for_each

LEAST_HU = 150.0  # half of the voxels of a mandible's contour are above this even on 5 mm voxels
COPY_DICE = 0.999  # drawings of two people never reach this
FACES = {
    "R": ("left", "right"),
    "L": ("right", "left"),
    "A": ("posterior", "anterior"),
    "P": ("anterior", "posterior"),
    "S": ("inferior", "superior"),
    "I": ("superior", "inferior"),
}
"""The faces where an axis begins and ends, by its direction."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One error or warning."""

    case_id: str
    severity: Severity
    line: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.line}"


@dataclass(frozen=True)
class LabelBox:
    """A label that is not empty, cropped to its bounding box."""

    mask: Mask  # (X, Y, Z) of the box
    box: tuple[slice, slice, slice]
    grid: Geometry
    """The grid of the uncropped label."""

    @property
    def n_voxels(self) -> int:
        """The number of voxels that are set."""
        return int(np.count_nonzero(self.mask))

    @property
    def volume_ml(self) -> float:
        """The volume of the label, in ml."""
        return self.n_voxels * self.grid.voxel_ml


@dataclass(frozen=True)
class CaseCheck:
    """The measurements and findings of one case; None for what it lacks."""

    case: Case
    shape: tuple[int, ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    hu_min: float | None = None
    hu_max: float | None = None
    reference_ml: float | None = None
    noisy_ml: float | None = None
    noisy_dice: float | None = None
    image_hash: str = ""
    fingerprint: Fingerprint | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class CohortCheck:
    """The check of a cohort."""

    cohort: Cohort
    inspections: tuple[CaseCheck, ...]
    findings: tuple[Finding, ...]
    """All findings: in the manifest, in each case and between cases."""

    @property
    def errors(self) -> list[Finding]:
        """Findings that prevent training."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """Findings that a person should look at."""
        return [finding for finding in self.findings if finding.severity == "warning"]


def check_cohort(path: Path, workers: int | None = None) -> CohortCheck:
    """Check the manifest, every file, and the cases against each other.

    Args:
        path: manifest.csv, or the folder that holds it.
        workers: Number of processes; by default depends on the number of cases.

    Raises:
        UserError: There is no manifest.
    """
    cohort, violations = examine_manifest(path)
    findings = [Finding(violation.case_id, "error", str(violation)) for violation in violations]
    present = [_without_missing_files(case) for case in cohort.cases]
    inspections = tuple(for_each(inspect_case, present, "Checking", workers))
    findings += [finding for inspection in inspections for finding in inspection.findings]
    findings += [Finding(case_id, "warning", line) for line, case_id in identity_warnings(cohort.cases).items()]
    between_cases = duplicates(inspections) + same_patients(inspections)
    return CohortCheck(cohort, inspections, tuple(findings + between_cases))


def inspect_case(case: Case) -> CaseCheck:
    """Read, measure and judge the files of one case."""
    notes: list[str] = []
    volumes, problems = examine(case, notes)
    errors = [Finding(case.case_id, "error", line) for line in problems]
    image, grid = volumes.get("image"), next((volume.geometry for volume in volumes.values()), None)
    drawings = {name: label_box(volumes[name]) for name in ("reference", "noisy") if name in volumes}
    warnings = (
        notes
        + _position_warnings(case)
        + (_image_warnings(image, volumes.get("reference", volumes.get("noisy"))) if image else [])
    )
    warnings += dose_warnings(case, volumes.get("reference"))
    for name, label in drawings.items():
        found = _label_warnings(label, image, structure_of(case)) if label else ["is empty"]
        warnings += [f"{name} {text}" for text in found]
    reference, noisy = drawings.get("reference"), drawings.get("noisy")
    noisy_dice = None
    if reference and noisy and reference.grid.shape == noisy.grid.shape:
        noisy_dice = dice(volumes["reference"].array != 0, volumes["noisy"].array != 0)
        if noisy_dice >= COPY_DICE:
            warnings.append(f"reference and noisy label are the same drawing, Dice {noisy_dice:.4f}")
    return CaseCheck(
        case=case,
        shape=grid.shape if grid else None,
        spacing_mm=grid.spacing_mm if grid else None,
        hu_min=float(np.min(image.array)) if image else None,
        hu_max=float(np.max(image.array)) if image else None,
        reference_ml=reference.volume_ml if reference else None,
        noisy_ml=noisy.volume_ml if noisy else None,
        noisy_dice=noisy_dice,
        image_hash=content_hash(image) if image else "",
        fingerprint=_fingerprint(volumes),
        findings=(*errors, *(Finding(case.case_id, "warning", f"case {case.case_id}: {text}") for text in warnings)),
    )


def duplicates(inspections: Sequence[CaseCheck]) -> list[Finding]:
    """Find images with the same content: an error between subjects (one patient, two names), otherwise a warning."""
    first: dict[str, Case] = {}
    findings = []
    for inspection in inspections:
        case = inspection.case
        other = first.setdefault(inspection.image_hash, case) if inspection.image_hash else case
        if other is not case:
            same = other.subject_id == case.subject_id
            text = f"case {case.case_id}: its image has the same content as the image of case {other.case_id}"
            names = f"subjects {case.subject_id} and {other.subject_id}, splits {case.split} and {other.split}"
            findings.append(Finding(case.case_id, "warning" if same else "error", f"{text}; {names}"))
    return findings


def same_patients(inspections: Sequence[CaseCheck]) -> list[Finding]:
    """Find pairs of cases that show one patient under two names: an error between test and the other splits.

    Images with equal content are left to ``duplicates``.
    """
    hashes = {each.case.case_id: each.image_hash for each in inspections}
    findings = []
    for suspicion in find_suspicions([(each.case, each.fingerprint) for each in inspections]):
        first, second = suspicion.first, suspicion.second
        if hashes[first.case_id] == hashes[second.case_id] != "":
            continue
        is_leak = suspicion.is_certain and (first.split == "test") != (second.split == "test")
        line = suspicion.line(f"case {second.case_id}: it", f"case {first.case_id}")
        text = f"{line}; subjects {second.subject_id} and {first.subject_id}, splits {second.split} and {first.split}"
        findings.append(Finding(second.case_id, "error" if is_leak else "warning", text))
    return findings


def same_patients_between(first: CohortCheck, second: CohortCheck) -> list[str]:
    """List the pairs of cases of two cohorts that show one patient under two names."""
    known = ([(each.case, each.fingerprint) for each in checkup.inspections] for checkup in (first, second))
    one, other = (f"{checkup.cohort.name}, case" for checkup in (first, second))
    return [s.line(f"{one} {s.first.case_id}", f"{other} {s.second.case_id}") for s in find_suspicions(*known)]


def content_hash(image: Volume) -> str:
    """Hash the values and the shape of an image, independent of dtype and file format; 32 hexadecimal digits."""
    digest = hashlib.blake2b(repr(image.array.shape).encode(), digest_size=16)
    for z in range(image.array.shape[2]):  # slice by slice, without a float copy of the volume
        digest.update(np.ascontiguousarray(image.array[:, :, z], dtype=np.float32).tobytes())
    return digest.hexdigest()


def _fingerprint(volumes: dict[str, Volume]) -> Fingerprint | None:
    """The fingerprint of a case whose files fit together; None otherwise."""
    label, image = volumes.get("reference", volumes.get("noisy")), volumes.get("image")
    if label is None or (image and label.geometry.disagreement(image.geometry)):
        return None
    return fingerprint(label, image)


def _without_missing_files(case: Case) -> Case:
    """Drop the paths of missing files; the check of the manifest has reported them."""
    files = (case.image, case.reference, case.noisy, case.dose)
    image, reference, noisy, dose = (path if path and is_file(path) else None for path in files)
    return replace(case, image=image, reference=reference, noisy=noisy, dose=dose)


def _position_warnings(case: Case) -> list[str]:
    """List each doubt about the position of a case's files once, with the names of the files that share it."""
    found: dict[str, list[str]] = {}
    for name, path in (("image", case.image), ("reference", case.reference), ("noisy", case.noisy)):
        for doubt in position_doubts(path) if path else []:
            found.setdefault(doubt, []).append(name)
    return [f"{', '.join(names)}: {doubt}" for doubt, names in found.items()]


def _image_warnings(image: Volume, label: Volume | None) -> list[str]:
    low, high = float(np.min(image.array)), float(np.max(image.array))
    texts = [f"image {padded}"] if (padded := bright_padding(image.array)) else []
    if doubt := not_hu(image.array, None if label is None else label.array != 0):
        texts.append(doubt)
    elif high < LEAST_HU:
        texts.append(f"image values from {low:g} to {high:g}, no bone in it?")
    return texts


def _label_warnings(label: LabelBox, image: Volume | None, structure: Structure) -> list[str]:
    low, high = structure.volume_ml or (0.0, np.inf)
    texts = []
    if not low <= label.volume_ml <= high:
        whose = "mandibles have" if structure.is_mandible else f"{structure.name} has"
        texts.append(f"has {label.volume_ml:.1f} ml, {whose} {low:g} to {high:g} ml")
    if faces := faces_touched(label):
        texts.append(f"touches the border of the volume ({', '.join(faces)}): cut off?")
    if len(sizes := piece_sizes(label.mask)) > 1:
        shown = ", ".join(map(str, sizes[:4])) + (", ..." if len(sizes) > 4 else "")
        texts.append(f"has {len(sizes)} disconnected pieces of {shown} voxels")
    if structure.is_mandible:
        doubts = orientation_doubts(Volume(label.mask, label.grid.affine))
        texts += [f"lies as no mandible does: {doubt}" for doubt in doubts]
    if structure.is_mandible and image is not None and image.array.shape == label.grid.shape:
        median = float(np.median(image.array[label.box][label.mask].astype(np.float32)))
        if median < LEAST_HU:
            texts.append(f"has a median of {median:.0f} HU, bone is above {LEAST_HU:g}: off the mandible, or not HU?")
    return texts


def label_box(label: Volume) -> LabelBox | None:
    """Crop a label to its bounding box; None if it is empty."""
    mask: Mask = label.array != 0
    box = bounding_box(mask)
    return None if box is None else LabelBox(mask[box], box, label.geometry)


def piece_sizes(mask: Mask) -> list[int]:
    """Count the voxels of each piece of a mask, largest first; voxels that share a corner are connected."""
    _, n_voxels = connected_pieces(mask, by_corners=True)
    return sorted(n_voxels.tolist(), reverse=True)


def faces_touched(label: LabelBox) -> list[str]:
    """Name the faces of the volume that a label touches, as directions of the patient, e.g. ``superior``."""
    import nibabel as nib

    faces = []
    for axis, code in enumerate(nib.orientations.aff2axcodes(label.grid.affine)):
        low, high = FACES[code]
        faces += [low] if label.box[axis].start == 0 else []
        faces += [high] if label.box[axis].stop == label.grid.shape[axis] else []
    return faces
