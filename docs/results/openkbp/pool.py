"""The 40 known test cases, the 42 of the confirmation and all 82 together: one report, its tables and its figures.

    python docs/results/openkbp/pool.py outputs/openkbp-pooled    # half a minute

Reads cases.csv, confirmation.csv and settings.yaml of this folder and writes them as run folders whose cases.csv hold
the data sets ``test``, its fields of view, ``confirmation`` and ``both``. Then it does what
``mandseg report outputs/openkbp-pooled`` does, copies summary.csv, differences.csv and tolerated.csv here, draws the
figures from these tables and prints the tables of the READMEs. between-halves.csv compares the two halves; one patient
is in both of them, and the second scan of this patient is left out there.
"""

import argparse
import json
import shutil
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import metric_named
from mandseg.metrics.margins import MARGINS
from mandseg.report import figures
from mandseg.report.figures import LevelAxis
from mandseg.report.wording import number
from mandseg.report.write import write_report
from mandseg.runs.folder import CONDITION
from mandseg.statistics.analysis import analyse
from mandseg.statistics.comparison import RATIO_COMPARISON, Level
from mandseg.statistics.results import Contrast, as_table
from mandseg.statistics.score_table import means_by_seed

HERE = Path(__file__).parent
DICE = metric_named("dice")
SAME_PATIENT = {"pt_293": "pt_36"}  # one patient, planned twice on the same CT
HALVES = ("test", "confirmation", "both")
FIELDS_OF_VIEW = ("test", "fov500", "fov600", "other")
ANALYSED = (*FIELDS_OF_VIEW, "confirmation", "both")
"""In this order: the place of a data set decides what is drawn for it, and those of the first report keep theirs."""
COPIED = {
    "summary.csv": "summary.csv",
    "differences.csv": "differences.csv",
    "tables/tolerated.csv": "tolerated.csv",
}


def pooled_scores(folder: Path = HERE) -> pd.DataFrame:
    """Every score, one row for each run, data set and case; ``both`` repeats the rows of the two halves."""
    known = pd.read_csv(folder / "cases.csv", keep_default_na=False)
    runs = known[["run", *CONDITION]].drop_duplicates()
    further = pd.read_csv(folder / "confirmation.csv").merge(runs, on=["noise_ratio", "seed"], validate="many_to_one")
    further["subject_id"] = further.case_id.replace(SAME_PATIENT)
    both = pd.concat([known[known.dataset == "test"], further]).assign(dataset="both")
    scores = pd.concat([known, further, both], ignore_index=True)
    return scores.sort_values("dataset", key=lambda names: names.map(ANALYSED.index), kind="stable", ignore_index=True)


def write_study(scores: pd.DataFrame, study: Path) -> None:
    """The scores as the run folders of a study, with the settings that the runs shared."""
    conditions = scores[["run", *CONDITION]].drop_duplicates()
    for condition in conditions.to_dict("records"):
        run = study / str(condition.pop("run"))
        run.mkdir(parents=True, exist_ok=True)
        record = {"study": "openkbp", "state": "done", "condition": condition}
        (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
        shutil.copy(HERE / "settings.yaml", run / "config.yaml")
        scores[scores.run == run.name].to_csv(run / "cases.csv", index=False)
    conditions.assign(overrides="").to_csv(study / "grid.csv", index=False)


def between_halves(scores: pd.DataFrame) -> pd.DataFrame:
    """What noise costs on the confirmation's cases minus what it costs on the known ones, for each metric and ratio."""
    halves = scores[scores.dataset.isin(HALVES[:2]) & ~scores.case_id.isin(SAME_PATIENT)]
    return as_table(analyse(halves).interactions, Contrast)


def draw_curve(scores: pd.DataFrame, datasets: Sequence[str], stem: Path) -> None:
    """Mean Dice of some data sets at every ratio."""
    means, differences = _dice_rows("summary", datasets), _dice_rows("differences", datasets)
    by_seed = means_by_seed(scores, DICE).rename(columns={"noise_ratio": "level"})
    with figures.drawing_style(stem.name):
        figure = figures.plot_curves(means, differences, DICE, _axis(means), MARGINS.of(DICE), by_seed)
        figure.set_size_inches(8.2, max(figure.get_figheight(), 3.3))  # as wide as a README, so its letters stay large
        _save(figure, stem)


def draw_forest(stem: Path) -> None:
    """The paired difference of every data set and ratio."""
    rows = _dice_rows("differences", tuple(dict.fromkeys((*HALVES, *FIELDS_OF_VIEW))))
    with figures.drawing_style(stem.name):
        figure = Figure(figsize=(8.2, 7.5))
        figures.plot_forest(rows, DICE, _axis(rows), MARGINS.of(DICE), figure.add_subplot())
        _save(figure, stem)


def markdown_table(datasets: Sequence[str]) -> str:
    """The verdicts on Dice as the READMEs show them: a row for each ratio, a column for each data set."""
    means, differences = _dice_rows("summary", datasets), _dice_rows("differences", datasets)
    cells: dict[Level, list[str]] = {level: [] for level in _axis(means).levels}
    heads = []
    for name in datasets:
        lost = {row["level"]: row for row in differences[differences.dataset == name].to_dict("records")}
        for row in means[means.dataset == name].to_dict("records"):
            cells[row["level"]].append(_cell(row, lost.get(row["level"])))
        heads.append(f"{name} ({means[means.dataset == name].n_cases.max()})")
    lines = [
        ["noise ratio", *heads],
        ["---"] * (len(heads) + 1),
        *([f"{level:g}", *row] for level, row in cells.items()),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(mean: dict[Hashable, Any], lost: dict[Hashable, Any] | None) -> str:
    """A mean with its interval at ratio 0, else the difference from ratio 0 with its interval and its verdict."""
    if lost is None:
        return f"{number(mean['mean'], 3)} ({number(mean['low'], 3)} to {number(mean['high'], 3)})"
    difference, low, high = (number(lost[key], 3, signed=True) for key in ("difference", "low", "high"))
    return f"{number(mean['mean'], 3)}; {difference} ({low} to {high}), {lost['verdict']}"


def _dice_rows(table: str, datasets: Sequence[str]) -> pd.DataFrame:
    """The Dice rows of a table beside this file, of whole data sets, in their order."""
    rows = pd.read_csv(HERE / f"{table}.csv", keep_default_na=False, na_values={"low": "", "high": ""})
    rows = rows[(rows.metric == DICE.column) & (rows.group == "") & rows.dataset.isin(datasets)]
    rows = rows.sort_values("dataset", key=lambda names: names.map(datasets.index), kind="stable")
    return rows.rename(columns={"noise_ratio": "level"})


def _axis(rows: pd.DataFrame) -> LevelAxis:
    return LevelAxis(RATIO_COMPARISON, sorted({0.0, *rows.level}))


def _save(figure: Figure, stem: Path) -> None:
    figures.save(figure, stem)
    stem.with_suffix(".pdf").unlink()


def main(study: Path) -> None:
    """Write the study and its report, and everything of this folder that is made from them."""
    scores = pooled_scores()
    write_study(scores, study)
    report = write_report(study).parent
    for source, name in COPIED.items():
        shutil.copy(report / source, HERE / name)
    between_halves(scores).to_csv(HERE / "between-halves.csv", index=False)
    draw_curve(scores, HALVES, HERE / "curve-dice")
    draw_curve(scores, FIELDS_OF_VIEW, HERE / "curve-dice-fields-of-view")
    draw_forest(HERE / "forest-dice")
    print(markdown_table(HALVES), markdown_table(FIELDS_OF_VIEW), sep="\n\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "study", type=Path, help="folder for the run folders and their report, e.g. outputs/openkbp-pooled"
    )
    main(parser.parse_args().study)
