"""How well do the quality figures of `mandseg predict` find poor predictions? Predicts the test cases of a cohort.

    python docs/results/quality/measure.py predict COHORT OUT.csv NETWORK.ckpt [NETWORK.ckpt ...] [--change NAME]
    python docs/results/quality/measure.py table OUT.csv [OUT.csv ...]

`predict` takes the mean of the given networks and appends a row for each test case to OUT.csv: the Dice to the
reference, and the figures. `--change` disturbs the images first: noise, offset, upside_down or half. `table` prints the
area under the ROC curve (AUROC) of each figure for "Dice below 0.7", and what the flag finds.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mandseg.data.loaded_case import load_case
from mandseg.data.manifest import read_cohort
from mandseg.data.volume import Volume, to_canonical
from mandseg.evaluation.prediction.network import TrainedNetwork
from mandseg.evaluation.prediction.plausibility import implausible
from mandseg.evaluation.prediction.quality import reasons
from mandseg.evaluation.prediction.segmentation import segment
from mandseg.metrics.masks import dice
from mandseg.runs.trained.load import load_network

POOR = 0.7
Pair = tuple[np.ndarray, np.ndarray]


def noise(hu: np.ndarray, label: np.ndarray) -> Pair:
    """A low dose: normal noise of 200 HU in each voxel."""
    drawn = np.random.default_rng(0).normal(0, 200, hu.shape)
    return np.clip(hu + drawn, -1000, 3071).astype(np.int16), label


def offset(hu: np.ndarray, label: np.ndarray) -> Pair:
    """A wrong calibration: bone reads half of its HU."""
    return np.where(hu > 0, hu // 2, hu).astype(np.int16), label


def upside_down(hu: np.ndarray, label: np.ndarray) -> Pair:
    """A header that exchanges top and bottom."""
    return hu[:, :, ::-1], label[:, :, ::-1]


def half(hu: np.ndarray, label: np.ndarray) -> Pair:
    """A scan that ends in the middle of the mandible; the reference ends there, too."""
    slices = np.flatnonzero(label.any(axis=(0, 1)))
    middle = (slices[0] + slices[-1]) // 2
    return hu[:, :, :middle], label[:, :, :middle]


CHANGES: dict[str, Callable[[np.ndarray, np.ndarray], Pair]] = {
    "none": lambda hu, label: (hu, label),
    "noise": noise,
    "offset": offset,
    "upside_down": upside_down,
    "half": half,
}


def predict(cohort: Path, out: Path, files: list[Path], change: str) -> None:
    """Append a row for each test case that OUT.csv does not have yet."""
    networks = [load_network(file, device="cpu") for file in files]
    out.parent.mkdir(parents=True, exist_ok=True)
    name = "+".join(file.stem for file in files)
    done = set(pd.read_csv(out).query("networks == @name and change == @change").case) if out.exists() else set()
    for case in read_cohort(cohort).split("test"):
        if case.case_id not in done:
            loaded = load_case(case)
            image, label = to_canonical(loaded.image), to_canonical(loaded.reference)
            hu, reference = CHANGES[change](image.array, np.asarray(label.array, bool))
            _append(
                out,
                {"networks": name, "change": change, "case": case.case_id}
                | row(Volume(hu, image.affine), reference, networks),
            )


def row(image: Volume, reference: np.ndarray, networks: list[TrainedNetwork]) -> dict[str, Any]:
    """Dice, figures and reasons of one prediction."""
    found = segment(image, networks)
    quality = {key: value for key, value in found.quality.__dict__.items() if key != "edges"}
    why = reasons(found.quality, networks[0].structure, networks[0].training)
    if doubt := implausible(image):
        why = [f"refused: {doubt}", *why]
    facts = {"dice": dice(np.asarray(found.mask.array, bool), reference), "edges": " ".join(found.quality.edges)}
    return facts | quality | {"reasons": "; ".join(why)}


def _append(out: Path, values: dict[str, Any]) -> None:
    is_new = not out.exists()
    with out.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(values))
        if is_new:
            writer.writeheader()
        writer.writerow(values)


def auroc(is_poor: np.ndarray, suspicion: np.ndarray) -> float:
    """The share of pairs of a poor and a good case in which the poor one is more suspicious; ties count half."""
    poor, good = suspicion[is_poor][:, None], suspicion[~is_poor][None]
    return float(np.mean((poor > good) + 0.5 * (poor == good)))


def table(files: list[Path]) -> None:
    """Print the AUROC of each figure, and how the flag does."""
    rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    low, high = rows.volume_ml.clip(lower=27.62), rows.volume_ml.clip(upper=104.14)
    suspicion = {
        "1 - confidence": 1 - rows.confidence,
        "disagreement": rows.disagreement,
        "islands": rows.islands,
        "pieces": rows.pieces,
        "volume outside training, ml": (low - rows.volume_ml) + (rows.volume_ml - high),
        "-rise_mm": -rows.rise_mm.fillna(-1e3),
        "flag": rows.reasons.notna().astype(float),
    }
    for what, part in {"undisturbed": rows[rows.change == "none"], "all": rows}.items():
        print(f"\n{what}: {len(part)} predictions, {(part.dice < POOR).sum()} with Dice below {POOR}")
        for name, values in suspicion.items():
            known = part[values.loc[part.index].notna()]
            is_poor = (known.dice < POOR).to_numpy()
            if 0 < is_poor.sum() < len(known):
                value = auroc(is_poor, values.loc[known.index].to_numpy(float))
                print(f"  {name:<28} AUROC {value:.3f}  ({is_poor.sum()} poor of {len(known)})")
    for group, part in rows.groupby(["networks", "change"]):
        flagged, poor = part.reasons.notna(), part.dice < POOR
        words = f"{' '.join(group):<32} n {len(part):3d}  median Dice {part.dice.median():.3f}"
        words += f"  poor {poor.sum():3d}, of them flagged {(flagged & poor).sum():3d}"
        print(f"{words}; good {(~poor).sum():3d}, of them flagged {(flagged & ~poor).sum():3d}")
    print(rows.assign(poor=rows.dice < POOR).groupby("poor").confidence.describe().round(3).to_string())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("predict")
    first.add_argument("cohort", type=Path)
    first.add_argument("out", type=Path)
    first.add_argument("networks", type=Path, nargs="+")
    first.add_argument("--change", choices=CHANGES, default="none")
    commands.add_parser("table").add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    if given.command == "table":
        table(given.files)
    else:
        predict(given.cohort, given.out, given.networks, given.change)


if __name__ == "__main__":
    main()
