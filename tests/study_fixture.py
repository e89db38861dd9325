"""A study folder with scores drawn from a seeded Generator, so that the true effect of every noise ratio is known."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

LOSS = {0.0: 0.0, 0.2: 0.001, 0.5: 0.006, 1.0: 0.12}
DATASETS = {"test": 0.90, "external_a": 0.86}
CONDITION = {"data": "phantom", "noise": "planning", "model": "unet", "method": "supervised"}
CASE_COLUMNS = [
    *("run", "noise_ratio", "seed", "data", "noise", "model", "method", "dataset", "case_id", "subject_id"),
    *("group_metal", "outcome", "dice", "hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm"),
    *("reference_ml", "prediction_ml", "volume_error_ml", "seconds"),
]


def run_name(ratio: float, seed: int) -> str:
    return f"ratio{ratio:g}-seed{seed}"


def write_study(
    folder: Path,
    loss: Mapping[float, float] = LOSS,
    seeds: Sequence[int] = (0, 1, 2),
    datasets: Mapping[str, float] = DATASETS,
    n_cases: int = 12,
    pictures: bool = False,
) -> Path:
    """Every run done; Dice = level of the data set + case + seed - loss of the ratio + residual."""
    rng = np.random.default_rng(20)
    case_effect = {name: rng.normal(0, 0.02, n_cases) for name in datasets}
    for ratio, lost in loss.items():
        for seed in seeds:
            shift = rng.normal(0, 0.002)
            rows = []
            for name, level in datasets.items():
                dice = level + case_effect[name] + shift - lost + rng.normal(0, 0.003, n_cases)
                rows += [case_row(ratio, seed, name, f"{name}_{k:03d}", float(d)) for k, d in enumerate(dice)]
            write_run(folder, ratio, seed, rows)
            if pictures:
                draw_overlays(folder / run_name(ratio, seed), rows)
    return folder


def case_row(ratio: float, seed: int, dataset: str, case_id: str, dice: float, outcome: str = "scored") -> dict:
    missed = outcome == "missed"
    scores = {
        "dice": 0.0 if missed else dice,
        "hd95_mm": 300.0 if missed else 1 + 30 * (1 - dice),
        "assd_mm": 300.0 if missed else 5 * (1 - dice),
        "nsd_1mm": 0.0 if missed else dice - 0.02,
        "nsd_2mm": 0.0 if missed else dice + 0.03,
        "reference_ml": 60.0,
        "prediction_ml": 0.0 if missed else 60 + 20 * (0.9 - dice),
        "volume_error_ml": -60.0 if missed else 20 * (0.9 - dice),
        "seconds": 0.4,
    }
    ids = {"run": run_name(ratio, seed), "noise_ratio": ratio, "seed": seed, "dataset": dataset, "case_id": case_id}
    return ids | CONDITION | {"subject_id": case_id, "group_metal": "no", "outcome": outcome} | scores


def write_run(folder: Path, ratio: float, seed: int, rows: Sequence[dict], **record: object) -> Path:
    """One run folder as training leaves it, listed in grid.csv; ``record`` overrides keys of run.json."""
    name = run_name(ratio, seed)
    run = folder / name
    run.mkdir(parents=True)
    add_to_grid(folder, ratio, seed)
    state = {
        "run": name,
        "study": folder.name,
        "state": "done",
        "condition": {"noise_ratio": ratio, "seed": seed, **CONDITION, "config_hash": "0123abcd"},
        "started": "2026-01-01T10:00:00+00:00",
        "ended": "2026-01-01T10:01:00+00:00",
        "error": None,
        "host": "node1",
        "pid": 1,
        "seconds": {"prepare": 1.5, "train": 40.0 + seed, "evaluate": 6.0},
        "steps": 400,
        "device": "cpu",
        "precision": "32-true",
        "versions": {"mandseg": "0.1.0", "torch": "2.13.0", "code": "abc1234"},
    }
    (run / "run.json").write_text(json.dumps(state | record))
    (run / "config.yaml").write_text(
        f"noise_ratio: {ratio}\nseed: {seed}\nmodel:\n  channels: [16, 32]\n  dropout: null\n"
    )
    noisy = round(ratio * 10)
    labels = ["noisy"] * noisy + ["reference"] * (10 - noisy)
    write_csv(
        run / "noise_plan.csv",
        [{"case_id": f"t{k}", "annotator": "a", "label": label} for k, label in enumerate(labels)],
    )
    write_csv(run / "noise_applied.csv", [applied_row(k, label) for k, label in enumerate(labels)])
    write_csv(run / "learning_curve.csv", [curve_row(step, ratio, seed) for step in range(0, 401, 20)])
    if rows:
        write_csv(run / "cases.csv", rows, CASE_COLUMNS)
    return run


def applied_row(number: int, label: str) -> dict:
    """Two annotators; the noisy label of case k has Dice 0.80 + k / 100 and is 5 ml too large."""
    scores = {"dice": 0.80 + number / 100, "hd95_mm": 4.0, "assd_mm": 1.0, "reference_ml": 60.0, "noisy_ml": 65.0}
    ids = {"case_id": f"t{number}", "annotator": "ab"[number % 2], "label": label}
    return ids | scores | {"volume_error_ml": 5.0}


def curve_row(step: int, ratio: float, seed: int) -> dict:
    """Loss at every row; Dice of validation and watched cases every hundred steps."""
    dice = 0.9 - 0.5 / (1 + step / 30)
    watched = {
        "noisy_cases_dice_to_noisy": dice - 0.1 + 0.05 * ratio,
        "noisy_cases_dice_to_reference": dice - 0.05 * ratio,
        "clean_cases_dice_to_noisy": dice - 0.1 if ratio < 1 else "",
        "clean_cases_dice_to_reference": dice if ratio < 1 else "",
    }
    loss = {"step": step, "train_loss": 1.5 / (1 + step / 40) + 0.02 * seed}
    values = {"val_dice": dice, **watched}
    return loss | (values if step % 100 == 0 else dict.fromkeys(values, ""))


def add_to_grid(folder: Path, ratio: float, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    grid = folder / "grid.csv"
    row = {"run": run_name(ratio, seed), "noise_ratio": ratio, "seed": seed, **CONDITION}
    row["overrides"] = f"noise_ratio={ratio} seed={seed}"
    rows = list(csv.DictReader(grid.read_text().splitlines())) if grid.exists() else []
    write_csv(grid, [*rows, row])


def write_csv(path: Path, rows: Sequence[dict], columns: Sequence[str] | None = None) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def draw_overlays(run: Path, rows: Sequence[dict]) -> None:
    """Three grey panels with two outlines, for the worst and the median case of each data set."""
    (run / "overlays").mkdir()
    for dataset in {row["dataset"] for row in rows}:
        ranked = sorted((row for row in rows if row["dataset"] == dataset), key=lambda row: row["dice"])
        for row in (ranked[0], ranked[len(ranked) // 2]):
            image = Image.new("RGB", (900, 300), (20, 20, 20))
            pen = ImageDraw.Draw(image)
            for x in (0, 300, 600):
                pen.ellipse((x + 20, 20, x + 280, 280), fill=(90, 90, 90))
                pen.arc((x + 80, 90, x + 220, 270), 180, 360, fill=(0, 200, 120), width=3)
                pen.arc((x + 86, 96, x + 226, 276), 180, 360, fill=(255, 140, 0), width=3)
            image.save(run / "overlays" / f"{dataset}--{row['case_id']}.png")
