"""Seconds per phantom case and population, and the figure of docs/phantom.md.

python benchmarks/phantom.py                                    # timings
python benchmarks/phantom.py --figure docs/figures/phantom.png  # the figure
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np

from mandseg.data.phantom import POPULATIONS, Population, phantom_case
from mandseg.data.volume import to_canonical

COLUMNS = ("body, axial", "teeth, axial", "rami, axial", "sagittal", "ramus, sagittal", "coronal")
WINDOW_HU = (-250, 1100)


def measure(population: Population, cases: int) -> tuple[float, float]:
    """Processor seconds and wall seconds of the fastest case."""
    processor, wall = [], []
    for seed in range(cases):
        started = time.process_time(), time.perf_counter()
        phantom_case(population, seed)
        processor.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    return min(processor), min(wall)


def draw(path: Path, seeds: tuple[int, ...]) -> None:
    """One row per population, six cuts through the mandible, its reference outlined."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(POPULATIONS), len(COLUMNS), figsize=(15, 7.2), layout="constrained")
    for row, population, seed in zip(axes, POPULATIONS, seeds, strict=True):
        ct, reference = (to_canonical(volume) for volume in phantom_case(population, seed))
        for ax, (axis, index) in zip(row, cuts(reference.array > 0), strict=True):
            show(
                ax,
                ct.array.take(index, axis),
                reference.array.take(index, axis),
                np.delete(population.spacing_mm, axis),
            )
        row[0].text(0.03, 0.04, population.name, color="white", transform=row[0].transAxes)
    for ax, title in zip(axes[0], COLUMNS, strict=True):
        ax.set_title(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70)


def cuts(mask: np.ndarray) -> list[tuple[int, int]]:
    """Axis and index of six planes, placed by the mandible's bounding box."""
    low, high = np.argwhere(mask).min(axis=0), np.argwhere(mask).max(axis=0)
    shares = ((2, 0.16), (2, 0.36), (2, 0.55), (0, 0.5), (0, 0.1), (1, 0.55))
    return [(axis, round(low[axis] + share * (high - low)[axis])) for axis, share in shares]


def show(ax, plane, mask, spacing_mm) -> None:
    """One plane in mm, with the contour of the reference."""
    extent = [0, plane.shape[0] * spacing_mm[0], 0, plane.shape[1] * spacing_mm[1]]
    ax.imshow(plane.T, origin="lower", extent=extent, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1])
    ax.contour(mask.T, [0.5], extent=extent, colors="#E69F00", linewidths=0.9)
    ax.set_axis_off()


def main() -> None:
    """Measure or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, help="draw the figure here instead of measuring")
    parser.add_argument("--seeds", type=int, nargs=3, default=(5, 0, 3), help="case shown of each population")
    parser.add_argument("--cases", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.figure:
        draw(arguments.figure, tuple(arguments.seeds))
        return
    for population in POPULATIONS:
        processor, wall = measure(population, arguments.cases)
        print(f"{population.name:14} {population.shape} voxels: {processor:.2f} s processor, {wall:.2f} s wall")


if __name__ == "__main__":
    main()
