"""The displacement of a label from another mask, by parts of its structure: masks in, columns of a table out."""

from collections.abc import Iterable

from mandseg.metrics.displacement import measure_deviation
from mandseg.metrics.division import MANDIBLE, THIRDS, Division
from mandseg.metrics.masks import Mask, Spacing

ALL = "all"


def displacements_mm(
    label: Mask, other: Mask, spacing_mm: Spacing, division: Division = MANDIBLE
) -> dict[str, float | None]:
    """Mean signed displacement of a label over the whole surface of another mask (``all``) and over each of its parts.

    Args:
        label: bool, (X, Y, Z) on RAS+ axes.
        other: The prediction or the reference, on the same grid.
        spacing_mm: Voxel edge lengths.
        division: The parts.

    Returns:
        In mm, positive outward; None where a mask is empty or a part has no surface.
    """
    if not label.any() or not other.any():
        return dict.fromkeys((ALL, *division.regions))
    deviation = measure_deviation(label, other, spacing_mm, division=division)
    return {ALL: deviation.mean_mm()} | {region: deviation.mean_mm(region) for region in division.regions}


def bias_column(part: str) -> str:
    """The column of a part's displacement."""
    return "bias_mm" if part == ALL else f"bias_{part}_mm"


def regions_in(names: Iterable[object]) -> list[str]:
    """The parts, without ``all``, among the columns of a table."""
    present = set(names)
    return [region for region in (*MANDIBLE.regions, *THIRDS.regions) if bias_column(region) in present]
