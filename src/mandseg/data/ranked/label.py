"""The label of a case that is ranked, and whether the case is trusted: columns of a manifest in, a file out."""

from pathlib import Path

from mandseg.data.case import Case
from mandseg.system.errors import UserError

TRUSTED = "trusted"
"""Column of a manifest: 1 where a specialist has checked or corrected the reference; empty or 0 elsewhere."""


def is_trusted(case: Case) -> bool:
    """Whether the reference of a case was checked or corrected.

    Raises:
        UserError: The column ``trusted`` has another value than 1, 0 or nothing, or a trusted case has no reference.
    """
    value = case.groups.get(TRUSTED, "")
    if value not in ("", "0", "1"):
        raise UserError(f"case {case.case_id}: {TRUSTED} is {value!r}, expected 1, 0 or nothing")
    if value == "1" and case.reference is None:
        raise UserError(f"case {case.case_id}: {TRUSTED} is 1, but the case has no reference")
    return value == "1"


def ranked_label(case: Case) -> Path:
    """The file of the label in use: of a trusted case the reference, else the noisy label, else the reference."""
    label = case.reference if is_trusted(case) else case.noisy or case.reference
    if label is None:
        raise UserError(f"case {case.case_id}: has no label")
    return label
