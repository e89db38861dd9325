"""The planned dose of a case: read from its file and checked."""

from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.dose.sampling import uncovered
from mandseg.data.volume import Volume, read_volume
from mandseg.system.errors import UserError
from mandseg.system.wording import count, verb

PLAUSIBLE_MAXIMUM_GY = (1.0, 200.0)
"""The lowest and the highest maximum of a planned dose: from one small fraction to a whole treatment with hot spots."""
ROUNDING_GY = 0.01  # interpolation and integer steps give small negative values


def read_dose(path: Path) -> Volume:
    """Read a dose and refuse an implausible one.

    Returns:
        Gy, (X, Y, Z), on the file's own grid.

    Raises:
        UserError: The file cannot be read, or :func:`implausible` finds a reason.
    """
    dose = read_volume(path)
    if reason := implausible(dose):
        raise UserError(f"{path}: {reason}")
    return dose


def implausible(dose: Volume) -> str:
    """One line with the reason why numbers cannot be a planned dose in Gy; empty if they can."""
    array = dose.array
    if array.dtype.kind not in "iuf":
        return f"the dose has values of type {array.dtype}, expected numbers in Gy"
    if bad := int(array.size - np.count_nonzero(np.isfinite(array))):
        return f"the dose has {count(bad, 'voxel')} that {verb(bad, 'are')} NaN or infinite"
    lowest, highest = float(array.min()), float(array.max())
    if lowest < -ROUNDING_GY:
        return f"the dose has negative values down to {lowest:.4g} Gy, expected 0 or more: a difference of two doses?"
    low, high = PLAUSIBLE_MAXIMUM_GY
    if highest > high:
        advice = "is it in cGy? Divide by 100" if highest <= 100 * high else "is it scaled? Apply the header's scaling"
        return f"the dose has a maximum of {highest:.5g}, expected {low:g} to {high:g} Gy; {advice}"
    if highest < low:
        return f"the dose has a maximum of {highest:.3g}, expected {low:g} to {high:g} Gy; is it relative, or per beam?"
    return ""


def dose_warnings(case: Case, reference: Volume | None) -> list[str]:
    """List why ``mandseg dose`` would refuse the dose of a case; empty for a case without a dose."""
    if case.dose is None:
        return []
    try:
        dose = read_dose(case.dose)
    except UserError as error:
        return [f"dose {line}" for line in error.problems]
    line = uncovered(dose, reference.array != 0, reference.geometry) if reference else ""
    return [f"dose: {line}"] if line else []
