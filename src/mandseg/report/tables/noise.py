"""The noise that was applied, by annotator."""

import pandas as pd

from mandseg.report.tables.columns import median_cell, middle
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import number


def noise_table(applied: pd.DataFrame, name: str) -> Table | None:
    """For each annotator: agreement of the labels with the references, and the number of labels used at each ratio.

    Args:
        applied: ``noise_ratio, clean_budget, seed, noise, case_id, annotator, label, dice, hd95_mm,
            volume_error_ml``.
        name: Name of the files.
    """
    if applied.empty or applied.dice.isna().all():
        return None
    own_columns = ["noise_ratio", "clean_budget"]
    plans = list(applied.drop_duplicates(own_columns).sort_values(own_columns).itertuples())
    several = applied.clean_budget.nunique() > 1
    once = applied.drop_duplicates("case_id")
    columns = [
        *(Column("Annotator"), Column("Cases"), Column("Dice", "median, range"), Column("HD95, mm", "median, range")),
        Column("Volume, ml", "median difference"),
        *(
            Column(
                f"Noisy at {p.noise_ratio:g}",
                f"seed {p.seed:.0f}" + (f", clean budget {p.clean_budget}" if several else ""),
            )
            for p in plans
        ),
    ]
    rows, data = [], []
    for annotator, own in [("all", once), *once.groupby("annotator")]:
        used = applied[(applied.label == "noisy") & ((applied.annotator == annotator) | (annotator == "all"))]
        found = used.value_counts(own_columns)
        counts = [int(found.get((p.noise_ratio, p.clean_budget), 0)) for p in plans]
        scored = own.dropna(subset=["dice"])
        rows.append(
            [
                *(Cell(str(annotator) or "unnamed"), Cell(str(len(own)))),
                *(median_cell(scored[column], decimals) for column, decimals in (("dice", 3), ("hd95_mm", 1))),
                Cell(number(middle(scored.volume_error_ml), 1, True)),
                *(Cell(f"{n} of {len(own)}") for n in counts),
            ]
        )
        data.append(
            {"annotator": annotator, "cases": len(own)}
            | {f"{column}_median": middle(scored[column]) for column in ("dice", "hd95_mm", "volume_error_ml")}
            | {
                f"noisy_at_{p.noise_ratio:g}" + (f"_budget_{p.clean_budget}" if several else ""): n
                for p, n in zip(plans, counts, strict=True)
            }
        )
    caption = f"Noisy training labels ({', '.join(applied.noise.unique())}) against their references"
    return Table(name, caption, columns, rows, pd.DataFrame(data))
