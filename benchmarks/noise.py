"""How long does a noisy label of a full planning CT take on one core? Prints a row per preset, plain and calibrated.

Run: python benchmarks/noise.py [--cases 3]

A phantom mandible at 1 x 1 x 2.5 mm in a grid of 512 x 512 x 160. Seconds are the processor's, of the slowest case; a
preset may take 3 s. The ratio is to one score (Dice, distances) of the same masks, which the machine changes little.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from mandseg.data.case import Case
from mandseg.data.phantom import CLINIC, phantom_case
from mandseg.data.volume import to_canonical
from mandseg.metrics.agreement import score
from mandseg.noise import Panel, load_preset

SHAPE = (512, 512, 160)
PLANNING_CT = replace(CLINIC, shape=(264, 264, 92), spacing_mm=(1.0, 1.0, 2.5))
PRESETS = ("expert", "radiographer", "planning", "gross")
TARGETS: Mapping[str, Mapping[str, float]] = {
    "as it is": {},
    "target_dice=0.95": {"target_dice": 0.95},
    "target_dice=0.85": {"target_dice": 0.85},
    "target_hd95_mm=3": {"target_hd95_mm": 3.0},
}


def planning_ct(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """CT and mask of a phantom in the middle of a large field of air."""
    ct, reference = (to_canonical(volume) for volume in phantom_case(PLANNING_CT, seed))
    before = [(n - k) // 2 for n, k in zip(SHAPE, ct.array.shape, strict=True)]
    place = tuple(slice(b, b + k) for b, k in zip(before, ct.array.shape, strict=True))
    hu, mask = np.full(SHAPE, -1000, np.int16), np.zeros(SHAPE, bool)
    hu[place], mask[place] = ct.array, reference.array > 0
    return hu, mask


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def slowest(panel: Panel, hu: np.ndarray, mask: np.ndarray, cases: int) -> float:
    """Processor seconds of the slowest of some cases, by different annotators."""
    times = []
    for name in panel.names[:cases]:
        case = Case("case", "case", "train", None, None, None, name)
        times.append(seconds(lambda c=case: panel.draw(c, mask, None, PLANNING_CT.spacing_mm, hu)))
    return max(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=3)
    cases = parser.parse_args().cases
    hu, mask = planning_ct(seed=0)
    shifted = np.roll(mask, 1, axis=0)
    slowest(load_preset("planning"), hu, mask, 1)  # imports
    scoring = min(seconds(lambda: score(shifted, mask, PLANNING_CT.spacing_mm)) for _ in range(3))
    print(f"score {scoring:.2f} s\npreset        target               s  ratio to score")
    for preset in PRESETS:
        for target, parameters in TARGETS.items():
            took = slowest(load_preset(preset, **parameters), hu, mask, cases)
            print(f"{preset:<13} {target:<16} {took:5.2f} {took / scoring:6.1f}", flush=True)


if __name__ == "__main__":
    main()
