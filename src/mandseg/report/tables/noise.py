"""The noise that was applied, by annotator."""

import pandas as pd

from mandseg.report.tables.columns import median_cell, middle
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import number


def noise_table(applied: pd.DataFrame, name: str) -> Table | None:
    """For each annotator: agreement of the labels with the references, and the number of labels used at each ratio.

    Args:
        applied: ``noise_ratio, seed, noise, case_id, annotator, label, dice, hd95_mm, volume_error_ml``.
        name: Name of the files.
    """
    if applied.empty or applied.dice.isna().all():
        return None
    ratios = sorted(applied.noise_ratio.unique())
    seeds = applied.groupby("noise_ratio").seed.first()
    once = applied.drop_duplicates("case_id")
    columns = [
        *(Column("Annotator"), Column("Cases"), Column("Dice", "median, range"), Column("HD95, mm", "median, range")),
        Column("Volume, ml", "median difference"),
        *(Column(f"Noisy at {ratio:g}", f"seed {int(seeds[ratio])}") for ratio in ratios),
    ]
    rows, data = [], []
    for annotator, own in [("all", once), *once.groupby("annotator")]:
        used = applied[(applied.label == "noisy") & ((applied.annotator == annotator) | (annotator == "all"))]
        counts = {ratio: int((used.noise_ratio == ratio).sum()) for ratio in ratios}
        scored = own.dropna(subset=["dice"])
        rows.append(
            [
                *(Cell(str(annotator) or "unnamed"), Cell(str(len(own)))),
                *(median_cell(scored[column], decimals) for column, decimals in (("dice", 3), ("hd95_mm", 1))),
                Cell(number(middle(scored.volume_error_ml), 1, True)),
                *(Cell(f"{counts[ratio]} of {len(own)}") for ratio in ratios),
            ]
        )
        data.append(
            {"annotator": annotator, "cases": len(own)}
            | {f"{column}_median": middle(scored[column]) for column in ("dice", "hd95_mm", "volume_error_ml")}
            | {f"noisy_at_{ratio:g}": counts[ratio] for ratio in ratios}
        )
    caption = f"Noisy training labels ({', '.join(applied.noise.unique())}) against their references"
    return Table(name, caption, columns, rows, pd.DataFrame(data))
