"""How much faster are the scores when the masks are cropped to what they hold? Prints one ratio per size.

Run: python benchmarks/metrics.py [--repeats 3]

Both sides compute the same five numbers. "Uncropped" calls the package surface-distance on the whole grid (it crops by
itself, after several passes over the whole arrays) and the rest on the whole grid; "cropped" is ``metrics.score``.
Times vary with the machine, their ratio hardly does.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import surface_distance as package

from mandseg.metrics.agreement import score
from mandseg.metrics.masks import Mask

SPACING_MM = (0.977, 0.977, 2.5)


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


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print("grid             cropped s  uncropped s  ratio")
    for shape in ((128, 128, 128), (256, 256, 128), (512, 512, 128)):
        reference, prediction = arch(shape, 0), arch(shape, 2)
        fast = seconds(lambda p=prediction, r=reference: score(p, r, SPACING_MM), repeats)
        slow = seconds(lambda p=prediction, r=reference: uncropped(p, r), repeats)
        print(f"{'x'.join(map(str, shape)):<16} {fast:9.3f} {slow:12.3f} {slow / fast:6.1f}")


if __name__ == "__main__":
    main()
