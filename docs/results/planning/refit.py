"""Refits `noise=planning` to real planning contours beside a specialist's contours of the same scans.

    python docs/results/planning/refit.py COHORT docs/results/planning

COHORT holds the planning contour as noisy label and the specialist's as reference, as `mandseg pair` writes it. Few
pairs allow few parameters: how much of the upper end is missing, the margin, and a factor on all other errors. Values
of a grid are tried. The rule: of those whose median Dice is the planners' to within 0.02, the lowest misfit. Each
patient is also left out in turn, and the values are chosen by the others.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mandseg.audit.fidelity.pairs import read_pairs
from mandseg.audit.fidelity.realism import Table, misfit_of, table
from mandseg.audit.fidelity.simulation import draw, measured, real_table, with_seeds
from mandseg.audit.pair import LabelPair
from mandseg.metrics.masks import Mask
from mandseg.noise import DroppedEnds, Margin, MetalSmear, Panel, Tendency, TipsCut, load_preset

MARGIN_MM = (0.0, 0.4, 0.8)
OTHERS = (1.0, 0.6, 0.45, 0.3)  # factor on the sizes of all other errors
TOP_MM = (0.0, 18.0)
SHARE = 0.8  # eight of the ten known pairs have a missing upper end
DRAWINGS = 3
SAME_DICE = 0.02
Values = tuple[float, float, float]


def panel_with(values: Values) -> Panel:
    """The preset without its mode that needs the CT, with other sizes; top 0 keeps the tips of the former preset."""
    margin_mm, others, top_mm = values
    tendencies = []
    for tendency in load_preset("planning").tendencies:
        if isinstance(tendency.mode, Margin):
            tendencies.append(replace(tendency, mode=Margin(margin_mm)))
        elif not isinstance(tendency.mode, MetalSmear | TipsCut | DroppedEnds):
            tendencies.append(replace(tendency, mode=tendency.mode.scaled(others)))
    tendencies.append(Tendency(DroppedEnds(top_mm, 0.0), SHARE) if top_mm else Tendency(TipsCut(7.0, 7.0), 0.6))
    return replace(load_preset("planning"), tendencies=tuple(tendencies))


def missing_mm(drawn: Mask, pair: LabelPair) -> float:
    """How far the contour ends below the reference; negative: above."""
    tops = [np.flatnonzero(mask.any(axis=(0, 1)))[-1] for mask in (pair.reference, drawn)]
    return float(tops[0] - tops[1]) * pair.spacing_mm[2]


def drawn_table(values: Values, pairs: Sequence[LabelPair]) -> tuple[Table, list[float]]:
    """The quantities of drawings of all pairs, and how much of their upper ends is missing."""
    drawers = with_seeds(panel_with(values), range(DRAWINGS))
    drawings = [[draw(drawer, pair) for drawer in drawers] for pair in pairs]
    quantities = [[measured(one, pair) for one in own] for own, pair in zip(drawings, pairs, strict=True)]
    tops = [missing_mm(one, pair) for own, pair in zip(drawings, pairs, strict=True) for one in own]
    return table(quantities), tops


def part(of: Table, rows: Sequence[int]) -> Mapping[str, np.ndarray]:
    """Some cases of a table."""
    return {name: values[list(rows)] for name, values in of.items()}


def patient_of(pair: LabelPair) -> str:
    """The specialist's scan, which two cases of one patient share; the subject if the cohort names no scan."""
    return pair.case.groups.get("paired_with", pair.case.subject_id)


def best(real: Table, drawn: Mapping[Values, Table]) -> Values:
    """The values with the lowest misfit among those whose median Dice is that of the planners, to within 0.02."""
    median = float(np.median(real["dice"]))
    near = [values for values, own in drawn.items() if abs(float(np.median(own["dice"])) - median) <= SAME_DICE]
    return min(near or drawn, key=lambda values: misfit_of(real, drawn[values]))


def main(cohort: Path, out: Path) -> None:
    """Try the grid, choose on all pairs and on all but each patient, and write fit.csv and left_out.csv."""
    pairs, _ = read_pairs(cohort, 1)
    out.mkdir(parents=True, exist_ok=True)
    real, everyone = real_table(pairs), range(len(pairs))
    print("real: missing at the top", [missing_mm(pair.noisy, pair) for pair in pairs], "mm")
    print("real: Dice", real["dice"].ravel().round(3), "volume", real["volume_difference"].ravel().round(3))
    drawn, rows = {}, []
    for values in itertools.product(MARGIN_MM, OTHERS, TOP_MM):
        drawn[values], tops = drawn_table(values, pairs)
        own = drawn[values]
        rows.append(
            {
                **dict(zip(("margin_mm", "others", "top_mm"), values, strict=True)),
                "misfit": round(misfit_of(real, own), 3),
                "dice_median": round(float(np.median(own["dice"])), 3),
                "volume_difference_median": round(float(np.median(own["volume_difference"])), 3),
                "top_missing_median_mm": round(float(np.median(tops)), 2),
                "share_missing_15_mm": round(float(np.mean(np.array(tops) >= 15)), 2),
            }
        )
        pd.DataFrame(rows).sort_values("misfit").to_csv(out / "fit.csv", index=False)
    print(pd.DataFrame(rows).sort_values("misfit").head(8).to_string(index=False))
    print("chosen on all pairs: margin, others, top", best(real, drawn))
    former, left_out = (0.8, 1.0, 0.0), []
    for patient in dict.fromkeys(patient_of(pair) for pair in pairs):
        own = [k for k in everyone if patient_of(pairs[k]) == patient]
        others = [k for k in everyone if k not in own]
        chosen = best(part(real, others), {values: part(own_table, others) for values, own_table in drawn.items()})
        for name, values in (("refitted", chosen), ("former", former)):
            distance = {
                quantity: round(float(np.abs(np.median(drawn[values][quantity][own]) - real[quantity][own].mean())), 3)
                for quantity in ("dice", "hd95_mm", "nsd_2mm", "volume_difference")
            }
            left_out.append({"subject": patient, "preset": name, "values": " ".join(map(str, values)), **distance})
    pd.DataFrame(left_out).to_csv(out / "left_out.csv", index=False)
    print(pd.DataFrame(left_out).to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
