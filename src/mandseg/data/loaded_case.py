"""A case read from disk: image and labels on one grid, or an error."""

from dataclasses import dataclass

import numpy as np

from mandseg.data.case import Case
from mandseg.data.volume import Array, Volume, read_volume, to_canonical
from mandseg.metrics.posture import SURE_MM, posture, posture_doubts
from mandseg.system.errors import UserError
from mandseg.system.wording import count, verb

LEAST_VOXELS = 4  # along an axis: a scout or a localiser has one to three slices, a CT of a head dozens
INTEGER_TOLERANCE = 1e-3


@dataclass(frozen=True)
class LoadedCase:
    """One case in memory. All volumes are on the grid of the image file, in its axis order."""

    case: Case
    image: Volume  # (X, Y, Z), int16 or float32, HU
    reference: Volume | None  # (X, Y, Z), bool
    noisy: Volume | None  # (X, Y, Z), bool


def load_case(case: Case) -> LoadedCase:
    """Read the image and the labels of a case and refuse unusable ones.

    Raises:
        UserError: The case has no image, or ``examine`` finds problems: one line each.
    """
    if case.image is None:
        raise UserError(f"case {case.case_id}: column image is empty, but this command needs the CT")
    volumes, problems = examine(case)
    if problems:
        raise UserError(problems)
    image = volumes["image"]
    return LoadedCase(
        case, Volume(_as_hu(image.array), image.affine), _as_mask(volumes, "reference"), _as_mask(volumes, "noisy")
    )


def examine(case: Case, notes: list[str] | None = None) -> tuple[dict[str, Volume], list[str]]:
    """Read the files of a case unchanged and list the problems that make them unusable.

    Args:
        case: The case.
        notes: A list that gets a line for each label whose values were rounded, e.g. ``reference has ...``.

    Returns:
        The volumes that could be read, by column, and one line for each problem: a missing or damaged file, NaN or
        infinite values, a label on another grid than the image (without an image: than the reference), label values
        other than 0 and 1, an empty label of a training case.
    """
    volumes: dict[str, Volume] = {}
    problems: list[str] = []
    for name, path in (("image", case.image), ("reference", case.reference), ("noisy", case.noisy)):
        try:
            if path is not None:
                volumes[name] = read_volume(path)
        except UserError as error:
            problems += [f"case {case.case_id}: {name} {line}" for line in error.problems]
    for name in [name for name in ("reference", "noisy") if name in volumes]:
        volumes[name], note = with_integer_values(volumes[name])
        if notes is not None and note:
            notes.append(f"{name} {note}")
    for name, volume in volumes.items():
        problems += image_problems(case, volume) if name == "image" else _label_problems(case, name, volumes)
    return volumes, problems


def image_problems(case: Case, image: Volume) -> list[str]:
    """List the problems of an image: too few voxels, values that are not finite."""
    if min(image.array.shape) < LEAST_VOXELS:
        text = f"image has {' x '.join(map(str, image.array.shape))} voxels"
        return [f"case {case.case_id}: {text}, expected at least {LEAST_VOXELS} along each axis: a scout?"]
    if not np.issubdtype(image.array.dtype, np.floating):
        return []
    bad = int(image.array.size - np.count_nonzero(np.isfinite(image.array)))
    return (
        [f"case {case.case_id}: image has {count(bad, 'voxel')} that {verb(bad, 'are')} NaN or infinite"] if bad else []
    )


def orientation_doubts(label: Volume) -> list[str]:
    """What is doubtful about the orientation of an image, by the mandible in its label."""
    upright = to_canonical(label)
    return posture_doubts(*posture(np.asarray(upright.array != 0), upright.geometry.spacing_mm), SURE_MM)


def with_integer_values(label: Volume) -> tuple[Volume, str]:
    """Round label values within 0.001 of a whole number: scaling and resampling give values such as 0.99999994.

    Returns:
        The label and a note; the label is unchanged and the note empty if nothing had to be rounded.
    """
    array = label.array
    if array.dtype.kind != "f":
        return label, ""
    rounded = np.rint(array)
    with np.errstate(invalid="ignore"):  # infinite values stay; non_binary_values reports them
        near = np.abs(array - rounded) <= INTEGER_TOLERANCE
    off = near & (array != rounded)
    if not off.any():
        return label, ""
    examples = ", ".join(f"{value:.9g}" for value in np.unique(array[off])[:3])
    note = f"has values within {INTEGER_TOLERANCE:g} of a whole number ({examples}), taken as that number"
    return Volume(np.where(near, rounded, array), label.affine), note


def non_binary_values(label: Volume) -> str:
    """List the first values of a label that is not binary, e.g. ``0, 1, 7``; empty for a binary label."""
    array = label.array
    if array.dtype == np.bool_ or (array.dtype.kind in "iu" and int(np.min(array)) >= 0 and int(np.max(array)) <= 1):
        return ""
    if array.dtype.kind == "f" and bool(((array == 0) | (array == 1)).all()):
        return ""
    values = np.unique(array)
    return ", ".join(f"{v:.7g}" for v in values[:5]) + (", ..." if values.size > 5 else "")


def _label_problems(case: Case, name: str, volumes: dict[str, Volume]) -> list[str]:
    where = f"case {case.case_id}: {name}"
    label = volumes[name]
    grid = "image" if "image" in volumes else "reference"
    problems = []
    if grid in volumes and (difference := label.geometry.disagreement(volumes[grid].geometry)):
        problems.append(f"{where} {difference} of the {grid}")
    if values := non_binary_values(label):
        problems.append(f"{where} has the values {values}, expected 0 and 1 only")
    elif case.split == "train" and not label.array.any():
        problems.append(f"{where} is empty: 0 of {count(label.array.size, 'voxel')} are set, and the case is in train")
    return problems


def _as_hu(array: Array) -> Array:
    """Keep int16 and convert other types to float32, which represents every HU exactly."""
    return array if array.dtype == np.int16 else array.astype(np.float32)


def _as_mask(volumes: dict[str, Volume], name: str) -> Volume | None:
    return Volume(volumes[name].array != 0, volumes[name].affine) if name in volumes else None
