"""Reads label files as binary masks; selected label values are merged."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mandseg.data.case import Case
from mandseg.data.importers.sides import exchange_note, is_exchanged
from mandseg.data.loaded_case import INTEGER_TOLERANCE, non_binary_values, with_integer_values
from mandseg.data.volume import Volume, read_geometry, read_volume
from mandseg.system.errors import UserError

MOST_VALUES = 20  # values of a label that a message may list


@dataclass(frozen=True)
class Label:
    """A binary label of a case."""

    mask: Volume | None  # None: the label is empty
    values: frozenset[float]
    """Its first values, other than 0."""
    notes: tuple[str, ...] = ()
    """Assumptions and oddities, or the reason why there is no mask."""


def label_values(numbers: Sequence[float]) -> tuple[int, ...]:
    """Convert numbers to label values.

    Raises:
        UserError: One is not a whole number above 0; 0 is the background.
    """
    odd = [number for number in numbers if not (math.isfinite(number) and number == round(number) and number > 0)]
    if odd:
        raise UserError(f"--label-values {odd[0]:g}: expected whole numbers above 0, e.g. 21,22")
    return tuple(int(number) for number in numbers)


def read_label(
    case: Case, name: str, path: Path, structure: str, values: Sequence[int], halves: tuple[int, int] | None = None
) -> Label:
    """Read a label and merge the values of the structure.

    Args:
        case: The case of the label.
        name: ``reference`` or ``noisy``.
        path: Its file.
        structure: What it shows, for messages.
        values: The values to merge; if empty, the label must be binary.
        halves: The values of the left and the right half, whose places are compared.

    Raises:
        UserError: The file cannot be read, or it holds values that are not whole numbers or not binary.
    """
    label, note = with_integer_values(read_named(case, name, path))
    notes = [f"case {case.case_id}: {name} {note}"] if note else []
    if not values and (odd := non_binary_values(label)):
        text = f"{odd}, expected 0 and 1; choose {structure} with --label-values"
        raise UserError(f"case {case.case_id}: {name} has the values {text}")
    present = np.unique(label.array) if values else np.ones(1)  # sorting a binary label is not necessary
    present = present[present != 0]
    if fraction := fraction_among(present):
        raise UserError(f"case {case.case_id}: {name} {fraction}")
    found = frozenset(present[:MOST_VALUES].tolist()) | (frozenset(values) & frozenset(present.tolist()))
    mask = Volume(np.isin(label.array, values), label.affine) if values else label
    there, lacking = ([value for value in values if (value in found) is is_there] for is_there in (True, False))
    if there and lacking:
        text = f"has the value {_listed(there)} and not {_listed(lacking)}: is a part of {structure} missing?"
        notes.append(f"WARNING: case {case.case_id}: {name} {text}")
    if halves is not None:
        left, right = (Volume(label.array == value, label.affine) for value in halves)
        notes += [exchange_note(case.case_id, *(f"value {value}" for value in halves))] * is_exchanged(left, right)
    if not mask.array.any():
        what = f"value {_listed(values)}" if values else "voxel set"
        return Label(None, found, (f"case {case.case_id}: {name} has no {what}",))
    return Label(mask, found, tuple(notes))


def fraction_among(values: npt.NDArray[np.generic]) -> str:
    """Describe the first value of a label that is no whole number; empty if there is none."""
    broken = [value for value in values.tolist() if not math.isfinite(value) or value != round(value)]
    text = f"which is no whole number (within {INTEGER_TOLERANCE:g}): was the label resampled?"
    return f"has the value {broken[0]:.7g}, {text}" if broken else ""


def refuse_other_grid(case: Case, name: str, label: Volume) -> None:
    """Refuse a label that does not lie on the grid of its case's image.

    Raises:
        UserError: The first difference, with both values.
    """
    assert case.image is not None
    if difference := label.geometry.disagreement(read_geometry(case.image)):
        raise UserError(f"case {case.case_id}: {name} {difference} of the image")


def refuse_values_of_no_label(values: Sequence[int], labels: Sequence[frozenset[float]]) -> None:
    """Refuse values that no label of the cohort has.

    Raises:
        UserError: One line with the values that the labels have.
    """
    counts = Counter(value for found in labels for value in found)
    absent = [value for value in values if not counts[value]]
    if labels and absent:
        there = ", ".join(f"{value:g}" for value in sorted(counts)[:MOST_VALUES]) or "0 only"
        raise UserError(f"--label-values {_listed(absent)}: no label has this value; they have {there}")


def read_named(case: Case, name: str, path: Path) -> Volume:
    """Read a file of a case; error messages name the case and the column."""
    try:
        return read_volume(path)
    except UserError as error:
        raise UserError([f"case {case.case_id}: {name} {line}" for line in error.problems]) from error


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
