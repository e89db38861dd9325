"""The structure that a cohort's labels show: the manifest's column ``structure``; without it, the mandible."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from mandseg.data.case import Case
from mandseg.data.dicom.vocabulary import WHOLE, Vocabulary, read_vocabulary
from mandseg.system.errors import UserError

COLUMN = "structure"
VOLUME_COLUMN = "structure_ml"
MANDIBLE = "Mandible"
MANDIBLE_ML = (32.0, 94.0)  # 35 reference mandibles of the DeepMind TCIA set have 33 to 93 ml


@dataclass(frozen=True)
class Structure:
    """What is known of a structure."""

    name: str
    volume_ml: tuple[float, float] | None
    """The plausible volumes; None if nothing is known."""
    is_mandible: bool


def structure_of(case: Case) -> Structure:
    """Read the structure of a case from its manifest's columns ``structure`` and ``structure_ml`` (``15 to 45``).

    Raises:
        UserError: ``structure_ml`` is not two numbers, the lower one first.
    """
    name = structure_name(case)
    is_mandible = is_same_structure(MANDIBLE, name)
    text = case.groups.get(VOLUME_COLUMN, "")
    if not text:
        return Structure(name, MANDIBLE_ML if is_mandible else None, is_mandible)
    try:
        low, high = (float(part) for part in text.split(" to "))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low < high:
        raise UserError(f"case {case.case_id}: {VOLUME_COLUMN} is {text!r}, expected two volumes in ml, e.g. 15 to 45")
    return Structure(name, (low, high), is_mandible)


def structure_name(case: Case) -> str:
    """The name in the column ``structure``; without it, the mandible's."""
    return case.groups.get(COLUMN) or MANDIBLE


def refuse_other_structures(cases: Iterable[Case], wanted: str) -> None:
    """Refuse cases of another structure than the one after which a run names its predictions.

    Args:
        cases: The cases; those without the column ``structure`` show whatever the user says.
        wanted: The run's setting ``structure``.

    Raises:
        UserError: One line for the first case of each other structure.
    """
    first: dict[str, str] = {}
    for case in cases:
        if name := case.groups.get(COLUMN):
            first.setdefault(name, case.case_id)
    problems = [
        f"case {case_id}: its manifest says structure {name}, the run has structure={wanted}; give structure={name}"
        for name, case_id in first.items()
        if not is_same_structure(wanted, name)
    ]
    if problems:
        raise UserError(problems)


def with_structure(case: Case, structure: str) -> Case:
    """Name the structure of an imported case in the manifest's column; the mandible needs none.

    Args:
        case: The case; its source may have the column.
        structure: What its label shows; empty: what the source says.

    Raises:
        UserError: The source says something else.
    """
    stated = case.groups.get(COLUMN, "")
    if not structure or (stated and is_same_structure(structure, stated)):
        return case
    if stated:
        raise UserError(f"case {case.case_id}: its column {COLUMN} says {stated}, expected {structure}")
    own = {} if is_same_structure(MANDIBLE, structure) else {COLUMN: structure}
    return replace(case, groups={name: value for name, value in case.groups.items() if name != COLUMN} | own)


def is_same_structure(structure: str, other: str) -> bool:
    """Whether two names mean the same structure, by the names of structures.yaml."""
    return vocabulary().part(structure, other) == WHOLE


@cache
def vocabulary() -> Vocabulary:
    """The table of names in the package."""
    return read_vocabulary()
