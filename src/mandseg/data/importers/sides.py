"""Whether what is called left lies on the patient's left: the only sign of an image mirrored with its labels."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from mandseg.data.dicom.vocabulary import LEFT, RIGHT, SIDES, plain
from mandseg.data.volume import Volume, read_volume
from mandseg.system.errors import UserError


def pair_of(names: Iterable[str]) -> tuple[str, str] | None:
    """Find two names that differ in their side only.

    >>> pair_of(["BrainStem", "Parotid_R", "Parotid_L"]), pair_of(["LeftLens", "RightParotid"])
    (('Parotid_L', 'Parotid_R'), None)
    """
    found: dict[tuple[str, str], str] = {}
    for name in sorted(names):
        found |= dict.fromkeys(_readings(plain(name)), name)
    bases = sorted(base for base, side in found if side == LEFT and (base, RIGHT) in found)
    return (found[bases[0], LEFT], found[bases[0], RIGHT]) if bases else None


def is_exchanged(left: Volume, right: Volume) -> bool:
    """Whether the centre of one mask lies to the right of the centre of another; False if one is empty."""
    if not left.array.any() or not right.array.any():
        return False
    return _centre_mm(left) > _centre_mm(right)


def side_notes(
    case_id: str, files: Mapping[str, Path], read: Callable[[Path], Volume] = read_volume
) -> tuple[str, ...]:
    """A warning if the left one of a pair of structures lies to the right of the right one.

    Args:
        case_id: The case.
        files: The label files of the case by the names of their structures; one pair is read.
        read: Reads a label.
    """
    pair = pair_of(files)
    if pair is None:
        return ()
    try:
        left, right = (read(files[name]) for name in pair)
    except UserError:  # the importer takes other files
        return ()
    return (exchange_note(case_id, *pair),) if is_exchanged(left, right) else ()


def exchange_note(case_id: str, left: str, right: str) -> str:
    """The warning about two structures."""
    where = f"{left} lies to the right of {right}"
    return f"WARNING: case {case_id}: {where}: were image and labels mirrored, or the names exchanged?"


def _readings(name: str) -> list[tuple[str, str]]:
    """The structures and sides that a plain name may mean: ``parotidl`` is the left ``parotid``."""
    found = []
    for side, words in SIDES.items():
        found += [(name.removesuffix(word), side) for word in words if name.endswith(word) and len(name) > 2]
        found += [(name.removeprefix(word), side) for word in words if name.startswith(word) and len(name) > 2]
    return found


def _centre_mm(mask: Volume) -> float:
    """The centre from left to right, in mm of the patient; it increases to the right."""
    centre = np.argwhere(mask.array).mean(axis=0)
    return float(mask.affine[0, :3] @ centre + mask.affine[0, 3])
