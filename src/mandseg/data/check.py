"""What an expert would look at before training on a cohort: files in, findings out.

Errors are what ``load_case`` and ``read_cohort`` refuse, so nothing passes here and fails in training. Warnings are
what deserves a look: it may be right, and often is not.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from mandseg.data.case import Case
from mandseg.data.identities import identity_warnings
from mandseg.data.importers.hounsfield import BRIGHT, HU_IF_BELOW, padding, tissue_round
from mandseg.data.loaded_case import examine
from mandseg.data.manifest import Cohort, examine_manifest
from mandseg.data.nifti_forms import doubts_about_place
from mandseg.data.volume import Geometry, Volume
from mandseg.metrics.masks import Mask, bounding_box, connected_pieces, dice
from mandseg.system.progress import for_each

MANDIBLE_ML = (32.0, 94.0)  # 35 reference mandibles of the DeepMind TCIA set have 33 to 93 ml
SOFT_BELOW_HU = 500.0  # the median round a label, with offset images 1,000 above
BONE_HU = 150.0  # half of the voxels of a mandible's contour are above this even on 5 mm voxels
COPY_DICE = 0.999  # two drawings by two people never agree so well
FACES = {
    "R": ("left", "right"),
    "L": ("right", "left"),
    "A": ("posterior", "anterior"),
    "P": ("anterior", "posterior"),
    "S": ("inferior", "superior"),
    "I": ("superior", "inferior"),
}
"""Where an axis begins and ends, by the direction it runs to."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (error) or deserves a look (warning)."""

    case_id: str
    severity: Severity
    line: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.line}"


@dataclass(frozen=True)
class LabelBox:
    """A label that is not empty, cut out to the box it fills."""

    mask: Mask  # (X, Y, Z) of the box
    box: tuple[slice, slice, slice]
    grid: Geometry
    """The whole label's grid."""

    @property
    def n_voxels(self) -> int:
        """How many voxels are set."""
        return int(np.count_nonzero(self.mask))

    @property
    def volume_ml(self) -> float:
        """The volume drawn, in ml."""
        return self.n_voxels * self.grid.voxel_ml


@dataclass(frozen=True)
class CaseCheck:
    """What was measured of one case; None where there is nothing to measure."""

    case: Case
    shape: tuple[int, ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    hu_min: float | None = None
    hu_max: float | None = None
    reference_ml: float | None = None
    noisy_ml: float | None = None
    noisy_dice: float | None = None
    image_hash: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class CohortCheck:
    """A whole cohort, looked at."""

    cohort: Cohort
    inspections: tuple[CaseCheck, ...]
    findings: tuple[Finding, ...]
    """All of them: of the manifest, of each case and between cases."""

    @property
    def errors(self) -> list[Finding]:
        """What has to be mended before training."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """What deserves a look."""
        return [finding for finding in self.findings if finding.severity == "warning"]


def check_cohort(path: Path, workers: int | None = None) -> CohortCheck:
    """Look at the manifest, at every file and across the cases.

    Args:
        path: manifest.csv, or the folder that holds it.
        workers: Processes to read the files with; default by the number of cases.

    Raises:
        UserError: There is no manifest to look at.
    """
    cohort, violations = examine_manifest(path)
    findings = [Finding(violation.case_id, "error", str(violation)) for violation in violations]
    present = [_without_missing_files(case) for case in cohort.cases]
    inspections = tuple(for_each(inspect_case, present, "Checking", workers))
    findings += [finding for inspection in inspections for finding in inspection.findings]
    findings += [Finding(case_id, "warning", line) for line, case_id in identity_warnings(cohort.cases).items()]
    return CohortCheck(cohort, inspections, tuple(findings + duplicates(inspections)))


def check_case(case: Case) -> list[Finding]:
    """List what is wrong with a case's files and what deserves a look."""
    return list(inspect_case(case).findings)


def inspect_case(case: Case) -> CaseCheck:
    """Read a case's files, measure them and judge them."""
    notes: list[str] = []
    volumes, problems = examine(case, notes)
    errors = [Finding(case.case_id, "error", line) for line in problems]
    image, grid = volumes.get("image"), next((volume.geometry for volume in volumes.values()), None)
    drawings = {name: label_box(volumes[name]) for name in ("reference", "noisy") if name in volumes}
    warnings = (
        notes
        + _place_warnings(case)
        + (_image_warnings(image, volumes.get("reference", volumes.get("noisy"))) if image else [])
    )
    for name, label in drawings.items():
        warnings += [f"{name} {text}" for text in (_label_warnings(label, image) if label else ["is empty"])]
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
        findings=(*errors, *(Finding(case.case_id, "warning", f"case {case.case_id}: {text}") for text in warnings)),
    )


def duplicates(inspections: Sequence[CaseCheck]) -> list[Finding]:
    """Find images with the same content: an error across subjects (one patient, two names), else a warning."""
    first: dict[str, Case] = {}
    findings = []
    for inspection in inspections:
        case = inspection.case
        other = first.setdefault(inspection.image_hash, case) if inspection.image_hash else case
        if other is not case:
            same = other.subject_id == case.subject_id
            text = f"case {case.case_id}: its image has the same content as that of case {other.case_id}"
            names = f"subjects {case.subject_id} and {other.subject_id}, splits {case.split} and {other.split}"
            findings.append(Finding(case.case_id, "warning" if same else "error", f"{text}; {names}"))
    return findings


def content_hash(image: Volume) -> str:
    """Hash an image's values and shape, whatever its dtype and file format; 32 hexadecimal digits."""
    digest = hashlib.blake2b(repr(image.array.shape).encode(), digest_size=16)
    for z in range(image.array.shape[2]):  # a slice at a time: no float copy of the whole
        digest.update(np.ascontiguousarray(image.array[:, :, z], dtype=np.float32).tobytes())
    return digest.hexdigest()


def _without_missing_files(case: Case) -> Case:
    """Drop paths that lead nowhere; the manifest's own check has listed them."""
    image, reference, noisy = (p if p and p.is_file() else None for p in (case.image, case.reference, case.noisy))
    return replace(case, image=image, reference=reference, noisy=noisy)


def _place_warnings(case: Case) -> list[str]:
    """Say once what is doubtful about the place of a case's files, with the names of the files that share it."""
    found: dict[str, list[str]] = {}
    for name, path in (("image", case.image), ("reference", case.reference), ("noisy", case.noisy)):
        for doubt in doubts_about_place(path) if path else []:
            found.setdefault(doubt, []).append(name)
    return [f"{', '.join(names)}: {doubt}" for doubt, names in found.items()]


def _image_warnings(image: Volume, label: Volume | None) -> list[str]:
    low, high = float(np.min(image.array)), float(np.max(image.array))
    value, outside = padding(image.array) or (None, None)
    texts = [f"image holds {value:g} outside the field of view, as bright as metal"] if (value or 0) >= BRIGHT else []
    mask = None if label is None else label.array != 0
    tissue = None if mask is None or not mask.any() else tissue_round(image.array, mask, outside)
    if low > HU_IF_BELOW:
        texts.append(f"image values from {low:g} to {high:g}, none below {HU_IF_BELOW:g}: not HU?")
    elif high < BONE_HU:
        texts.append(f"image values from {low:g} to {high:g}, no bone in it?")
    elif tissue is not None and tissue > SOFT_BELOW_HU:
        texts.append(f"values round the label lie at {tissue:.0f} (median), soft tissue at about 40 HU: not HU?")
    return texts


def _label_warnings(label: LabelBox, image: Volume | None) -> list[str]:
    low, high = MANDIBLE_ML
    texts = []
    if not low <= label.volume_ml <= high:
        texts.append(f"has {label.volume_ml:.1f} ml, mandibles have {low:g} to {high:g} ml")
    if faces := faces_touched(label):
        texts.append(f"touches the border of the volume ({', '.join(faces)}): cut off?")
    if len(sizes := piece_sizes(label.mask)) > 1:
        texts.append(f"has {len(sizes)} disconnected pieces of {_some(sizes)} voxels")
    if image is not None and image.array.shape == label.grid.shape:
        median = float(np.median(image.array[label.box][label.mask].astype(np.float32)))
        if median < BONE_HU:
            texts.append(f"lies on {median:.0f} HU (median), bone is above {BONE_HU:g}: off the mandible, or not HU?")
    return texts


def label_box(label: Volume) -> LabelBox | None:
    """Cut a label out to the smallest box that holds it; None if it is empty."""
    mask: Mask = label.array != 0
    box = bounding_box(mask)
    return None if box is None else LabelBox(mask[box], box, label.geometry)


def piece_sizes(mask: Mask) -> list[int]:
    """Count the voxels of each piece of a mask, largest first; voxels that share a corner are connected."""
    _, n_voxels = connected_pieces(mask, by_corners=True)
    return sorted(n_voxels.tolist(), reverse=True)


def faces_touched(label: LabelBox) -> list[str]:
    """Name the faces of the volume that a drawing reaches, as the patient's directions, e.g. ``superior``."""
    import nibabel as nib

    faces = []
    for axis, code in enumerate(nib.orientations.aff2axcodes(label.grid.affine)):
        low, high = FACES[code]
        faces += [low] if label.box[axis].start == 0 else []
        faces += [high] if label.box[axis].stop == label.grid.shape[axis] else []
    return faces


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
