"""How much faster are the five scores than by the package surface-distance? Prints one row per size.

Run: python benchmarks/metrics.py [--repeats 5]

Both sides compute the same five numbers. The peer is the package surface-distance on the whole grid (it crops itself,
after several passes over the whole arrays) with the rest on the whole grid; mandseg is ``metrics.agreement.score``.
"""

import argparse
import warnings
from functools import partial

import numpy as np
import surface_distance as package

from comparison import Row, in_turn, show, time_row, timed
from mandseg.metrics.agreement import score
from mandseg.metrics.masks import Mask

SPACING_MM = (0.977, 0.977, 2.5)
SHAPES = ((128, 128, 128), (256, 256, 128), (512, 512, 128), (512, 512, 200))


def arch(shape: tuple[int, int, int], shift: int) -> Mask:
    """A horseshoe of 12 mm thickness about as large as a mandible, in the middle of the grid."""
    centre = np.array(shape) // 2
    x, y, z = np.ogrid[: shape[0], : shape[1], : shape[2]]
    radius_mm = np.hypot((x - centre[0] - shift) * SPACING_MM[0], (y - centre[1]) * SPACING_MM[1])
    return (abs(radius_mm - 50) < 6) & (y > centre[1] - 10) & (abs(z - centre[2]) < 12)


def uncropped(prediction: Mask, reference: Mask) -> list[float]:
    """Compute the five scores on the whole grid with the package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = package.compute_surface_distances(reference, prediction, SPACING_MM)
    return [
        package.compute_dice_coefficient(reference, prediction),
        package.compute_robust_hausdorff(found, 95),
        sum(package.compute_average_surface_distance(found)) / 2,
        package.compute_surface_dice_at_tolerance(found, 1.0),
        package.compute_surface_dice_at_tolerance(found, 2.0),
    ]


def row(shape: tuple[int, int, int], repeats: int) -> Row:
    """Both sides in turn, after one call to warm up."""
    reference, prediction = arch(shape, 0), arch(shape, 2)
    sides = {
        "package": lambda: uncropped(prediction, reference),
        "mandseg": lambda: score(prediction, reference, SPACING_MM),
    }
    for side in sides.values():
        side()
    turns = in_turn({name: partial(timed, side) for name, side in sides.items()}, repeats)
    work = f"five metrics, {' x '.join(map(str, shape))}"
    return time_row(work, "surface-distance", turns["mandseg"], turns["package"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    show("metrics", [row(shape, repeats) for shape in SHAPES])


if __name__ == "__main__":
    main()
