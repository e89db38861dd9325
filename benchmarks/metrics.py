"""How much faster are the five scores than by the package surface-distance? Prints one row per size.

Run: python benchmarks/metrics.py [--repeats 5]

Both sides compute the same five numbers. The peer is the package surface-distance on the whole grid (it crops itself,
after several passes over the whole arrays) with the rest on the whole grid; mandseg is ``metrics.agreement.score``.
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


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def row(shape: tuple[int, int, int], repeats: int) -> str:
    """One row: work | peer | mandseg | ratio | spread, both sides in turn, after one call to warm up."""
    reference, prediction = arch(shape, 0), arch(shape, 2)
    sides = (lambda: uncropped(prediction, reference), lambda: score(prediction, reference, SPACING_MM))
    turns = [[seconds(side) for side in sides] for _ in range(repeats + 1)][1:]
    peer_s, own_s = (statistics.median(times) for times in zip(*turns, strict=True))
    ratios = [peer / own for peer, own in turns]
    work = f"| five metrics, {' x '.join(map(str, shape))} | {peer_s:.3f} s | {own_s:.3f} s"
    return f"{work} | {peer_s / own_s:.1f} | {min(ratios):.1f} to {max(ratios):.1f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print("| work | surface-distance | mandseg | ratio | spread |\n| --- | --- | --- | --- | --- |")
    for shape in ((128, 128, 128), (256, 256, 128), (512, 512, 128), (512, 512, 200)):
        print(row(shape, repeats), flush=True)


if __name__ == "__main__":
    main()
