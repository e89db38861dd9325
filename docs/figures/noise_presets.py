"""The table of docs/noise.md: how far the contours of each preset lie from their references, on phantoms.

python docs/figures/noise_presets.py [--cases 40]    # prints a Markdown table, in about three minutes on one core

Clinic phantoms on the grid of a planning CT, 1 x 1 x 2.5 mm, none of them in the default cohort; each is drawn once by
each preset, by the annotator whom the panel deals it to.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mandseg.data.case import Case
from mandseg.data.phantom import CLINIC, phantom_case
from mandseg.data.volume import to_canonical
from mandseg.metrics.agreement import score
from mandseg.noise import load_preset

PRESETS = ("expert", "radiographer", "planning", "gross")
PLANNING_CT = replace(CLINIC, shape=(264, 264, 92), spacing_mm=(1.0, 1.0, 2.5))
FIRST_SEED = 1000
COLUMNS = {"dice": ("Dice", 3), "hd95_mm": ("HD95, mm", 1), "nsd_1mm": ("NSD 1 mm", 2), "nsd_2mm": ("NSD 2 mm", 2)}
COLUMNS |= {"volume": ("volume / reference", 2)}


def measure(presets: Sequence[str], cases: int) -> Mapping[str, Mapping[str, list[float]]]:
    """Scores of every contour: preset, column, case."""
    panels = {name: load_preset(name) for name in presets}
    scores: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in presets}
    for seed in range(FIRST_SEED, FIRST_SEED + cases):
        ct, reference = (to_canonical(volume) for volume in phantom_case(PLANNING_CT, seed))
        mask = np.asarray(reference.array > 0)
        case = Case(f"phantom_{seed}", f"phantom_{seed}", "train", None, None, None, "")
        for name, panel in panels.items():
            drawn = panel.draw(case, mask, None, PLANNING_CT.spacing_mm, ct.array)
            for column, value in score(drawn, mask, PLANNING_CT.spacing_mm).items():
                scores[name][column].append(value)
            scores[name]["volume"].append(drawn.sum() / mask.sum())
    return scores


def cell(values: Sequence[float], digits: int) -> str:
    """Median and the range from the 5th to the 95th percentile."""
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    arguments = parser.parse_args()
    print(f"| preset | {' | '.join(name for name, _ in COLUMNS.values())} |\n|{' --- |' * (len(COLUMNS) + 1)}")
    for preset, scores in measure(arguments.presets, arguments.cases).items():
        cells = [cell(scores[column], digits) for column, (_, digits) in COLUMNS.items()]
        print(f"| `{preset}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
