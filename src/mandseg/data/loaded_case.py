"""A case read from disk: its image and labels, refused where they do not fit together."""

from dataclasses import dataclass

import numpy as np

from mandseg.data.case import Case
from mandseg.data.volume import Array, Volume, read_volume
from mandseg.system.errors import UserError

LEAST_VOXELS = 4  # along an axis: ITK's smoothing, which comes before resampling, needs as many
WHOLE_WITHIN = 1e-3


@dataclass(frozen=True)
class LoadedCase:
    """One case in memory; every volume lies on the image's own grid, in the file's axis order."""

    case: Case
    image: Volume  # (X, Y, Z), int16 or float32, HU
    reference: Volume | None  # (X, Y, Z), bool
    noisy: Volume | None  # (X, Y, Z), bool


def load_case(case: Case) -> LoadedCase:
    """Read a case's image and labels and refuse what no training or evaluation may see.

    Raises:
        UserError: The case has no image, or one line for each problem that ``examine`` finds.
    """
    if case.image is None:
        raise UserError(f"case {case.case_id}: column image is empty, this needs the CT itself")
    volumes, problems = examine(case)
    if problems:
        raise UserError(problems)
    image = volumes["image"]
    return LoadedCase(
        case, Volume(_as_hu(image.array), image.affine), _as_mask(volumes, "reference"), _as_mask(volumes, "noisy")
    )


def examine(case: Case, notes: list[str] | None = None) -> tuple[dict[str, Volume], list[str]]:
    """Read the files of a case as they are and list what makes them unusable.

    Args:
        case: The case.
        notes: Gets a line for each label whose values were taken as whole numbers, e.g. ``reference has ...``.

    Returns:
        The volumes that could be read, by column, and one line for each of: a file missing or damaged, NaN or
        infinite values, a label whose grid differs from the image's (from the reference's if there is no image),
        label values other than 0 and 1, an empty label of a training case.
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
        volumes[name], note = with_whole_values(volumes[name])
        if notes is not None and note:
            notes.append(f"{name} {note}")
    for name, volume in volumes.items():
        problems += image_problems(case, volume) if name == "image" else _label_problems(case, name, volumes)
    return volumes, problems


def image_problems(case: Case, image: Volume) -> list[str]:
    """List what makes an image unusable: fewer voxels than resampling needs, values that are not finite numbers."""
    if min(image.array.shape) < LEAST_VOXELS:
        text = f"image has {' x '.join(map(str, image.array.shape))} voxels"
        return [f"case {case.case_id}: {text}, expected at least {LEAST_VOXELS} along each axis: a scout?"]
    if not np.issubdtype(image.array.dtype, np.floating):
        return []
    bad = int(image.array.size - np.count_nonzero(np.isfinite(image.array)))
    return [f"case {case.case_id}: image has {bad} voxels that are NaN or infinite"] if bad else []


def with_whole_values(label: Volume) -> tuple[Volume, str]:
    """Take label values within 0.001 of a whole number as that number: scaling and resampling leave 0.99999994.

    Returns:
        The label, as it is if its values are whole, and what was done; the empty string if nothing.
    """
    array = label.array
    if array.dtype.kind != "f":
        return label, ""
    whole = np.rint(array)
    with np.errstate(invalid="ignore"):  # infinite values stay, and are refused as odd ones
        near = np.abs(array - whole) <= WHOLE_WITHIN
    off = near & (array != whole)
    if not off.any():
        return label, ""
    some = ", ".join(f"{value:.9g}" for value in np.unique(array[off])[:3])
    note = f"has values within {WHOLE_WITHIN:g} of a whole number ({some}), taken as that number"
    return Volume(np.where(near, whole, array), label.affine), note


def odd_label_values(label: Volume) -> str:
    """Show the first values of a label that is not binary, e.g. ``0, 1, 7``; the empty string if it is."""
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
    if values := odd_label_values(label):
        problems.append(f"{where} has the values {values}, expected 0 and 1 only")
    elif case.split == "train" and not label.array.any():
        problems.append(f"{where} is empty: 0 of {label.array.size} voxels are set, and the case is in train")
    return problems


def _as_hu(array: Array) -> Array:
    """Keep int16; anything else becomes float32, which holds every HU exactly."""
    return array if array.dtype == np.int16 else array.astype(np.float32)


def _as_mask(volumes: dict[str, Volume], name: str) -> Volume | None:
    return Volume(volumes[name].array != 0, volumes[name].affine) if name in volumes else None
