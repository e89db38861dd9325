"""An analysis -> the tables of its numbers, as they are read and as they are."""

from collections.abc import Iterator, Sequence
from itertools import count

import pandas as pd

from mandseg.metrics.catalogue import METRICS, Metric, metric_named
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import ABSENT, number, p_value, span
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.comparison import Level
from mandseg.statistics.results import Contrast, Difference, Mean, MixedCheck, Tolerance, as_table

LONGEST_NAME = 100  # bytes of a data set in a file's name

LISTED = 60  # rows of a list of cases


def name_of(level: Level) -> str:
    """A level as a cell shows it."""
    return f"{level:g}" if isinstance(level, int | float) else level or "(none)"


def level_column(analysis: Analysis) -> str:
    """What the levels are called in a table's head."""
    return "Noise ratio" if analysis.comparison.is_dose else analysis.comparison.column.capitalize()


def short(metric: Metric) -> str:
    """A metric's label, short enough for a column."""
    return metric.label.replace("Surface Dice at", "NSD")


def unit_of(metric: Metric) -> str:
    """A metric's label with its unit."""
    return f"{short(metric)}, {metric.unit}" if metric.unit else short(metric)


def verdict_table(analysis: Analysis, name: str, groups: bool = False) -> Table | None:
    """The verdict on the primary metric: a row per level, a column per data set; with ``groups`` a row per group.

    None where nothing was compared.
    """
    metric = metric_named(analysis.primary)
    rows = [row for row in analysis.differences if row.metric == metric.column and bool(row.group) == groups]
    if not rows:
        return None
    heads = list(dict.fromkeys((row.dataset, row.group) for row in rows))
    levels = list(dict.fromkeys(row.level for row in rows))
    found = {(row.dataset, row.group, row.level): row for row in rows}
    margin = analysis.margins.of(metric)
    against = analysis.comparison.name(analysis.comparison.baseline)
    limit = "no margin" if margin is None else f"margin {margin:g} {metric.unit}".strip()
    caption = f"{metric.label} against {against} ({limit})"
    data = as_table(rows, Difference, analysis.comparison.column)
    if groups:
        columns = [Column("Cases", words=False), *(Column(name_of(level), level_column(analysis)) for level in levels)]
        cells = [
            [Cell(f"{dataset}, {group}"), *(_verdict(found.get((dataset, group, level)), metric) for level in levels)]
            for dataset, group in heads
        ]
        return Table(name, caption, columns, cells, data)
    columns = [Column(level_column(analysis)), *(Column(dataset) for dataset, _ in heads)]
    cells = [
        [Cell(name_of(level)), *(_verdict(found.get((dataset, "", level)), metric) for dataset, _ in heads)]
        for level in levels
    ]
    return Table(name, caption, columns, cells, data)


def _verdict(row: Difference | None, metric: Metric) -> Cell:
    if row is None:
        return Cell(ABSENT)
    if row.difference is None:
        return Cell(row.verdict, "; ".join(row.notes), row.verdict)
    interval = f" ({span(row, metric)})" if row.low is not None else ""
    size = number(row.difference, metric.decimals, signed=True)
    return Cell(row.verdict, size + interval, row.verdict, order=row.difference)


def tolerance_table(analysis: Analysis, name: str, primary: bool) -> Table | None:
    """Tolerated ratio, its bootstrap interval and the fitted crossing, of every data set (and group).

    Args:
        analysis: What was found.
        name: Of the files.
        primary: Of the primary metric, else of the others.
    """
    found = [row for row in analysis.tolerances if (row.metric == analysis.primary) == primary]
    if not found:
        return None
    crossings = {(row.dataset, row.metric, row.group): row for row in analysis.crossings}
    columns = [
        *(Column("Data set"), Column("Metric", words=True), Column("Margin")),
        *(Column("Tolerated", "shown non-inferior"), Column("Stopped at", "and why")),
        *(Column("Estimate", "mean loss below the margin"), Column("Fit meets the margin at")),
    ]
    rows = []
    for row in found:
        metric = metric_named(row.metric)
        crossing = crossings.get((row.dataset, row.metric, row.group))
        rows.append(
            [
                Cell(f"{row.dataset}, {row.group}" if row.group else row.dataset),
                Cell(metric.label),
                Cell(f"{row.margin:g} {metric.unit}".strip()),
                Cell("none" if row.tolerated is None else f"{row.tolerated:g}", order=row.tolerated or 0.0),
                Cell("all tested" if row.stopped_at is None else f"{row.stopped_at:g}", row.verdict_there or ""),
                Cell(f"{row.estimate:g}", _ends(row)),
                Cell(ABSENT if crossing is None else crossing.words.replace("(no interval)", "")),
            ]
        )
    label = metric_named(analysis.primary).label if primary else "all other metrics"
    return Table(name, f"Tolerated noise ratio: {label}", columns, rows, as_table(found, Tolerance), _notes(found))


def _ends(row: Tolerance) -> str:
    return "no interval" if row.low is None or row.high is None else f"{row.low:g} to {row.high:g}"


def mean_tables(analysis: Analysis, prefix: str) -> Iterator[Table]:
    """Means with their intervals: a table per data set, a row per level (and group), a column per metric."""
    names = _file_names(analysis.datasets)
    for dataset in analysis.datasets:
        of_set = [row for row in analysis.means if row.dataset == dataset]
        there = [metric for metric in METRICS if any(row.metric == metric.column for row in of_set)]
        places = list(dict.fromkeys((row.group, row.level) for row in of_set))
        columns = [
            Column(level_column(analysis)),
            *(Column(unit_of(metric)) for metric in there),
            *(Column("Cases"), Column("Seeds"), Column("Missed"), Column("Spurious")),
        ]
        rows = []
        for group, level in places:
            found = {row.metric: row for row in of_set if (row.group, row.level) == (group, level)}
            first = next(iter(found.values()))
            rows.append(
                [
                    Cell(name_of(level), group),
                    *(_mean(found.get(metric.column), metric) for metric in there),
                    *(Cell(str(first.n_cases)), Cell(str(first.n_seeds))),
                    *(Cell(f"{n} of {first.n_predictions}") for n in (first.n_missed, first.n_spurious)),
                ]
            )
        data = as_table(of_set, Mean, analysis.comparison.column)
        yield Table(f"{prefix}means-{names[dataset]}", dataset, columns, rows, data, _notes(of_set))


def _mean(row: Mean | None, metric: Metric) -> Cell:
    return Cell(ABSENT) if row is None else Cell(number(row.mean, metric.decimals), span(row, metric))


def difference_tables(analysis: Analysis, prefix: str) -> Iterator[Table]:
    """Differences from the baseline with every test: a table per data set."""
    names = _file_names(analysis.datasets)
    mixed = {(row.dataset, row.metric, row.level, row.group): row for row in analysis.mixed}
    columns = [
        *(Column("Metric"), Column(level_column(analysis)), Column("Difference", "95 % interval")),
        *(Column("Verdict", "margin", words=True), Column("Equivalence", "TOST", words=True)),
        *(Column("p", "Wilcoxon, Holm"), Column("Rank-biserial"), Column("Detectable", "80 % power")),
        *(Column("Mixed model", "95 % interval"), Column("Cases", "seeds")),
    ]
    for dataset in analysis.datasets:
        of_set = [row for row in analysis.differences if row.dataset == dataset and not row.group]
        if not of_set:
            continue
        rows = [_difference(row, mixed.get((row.dataset, row.metric, row.level, row.group))) for row in of_set]
        data = as_table(of_set, Difference, analysis.comparison.column)
        yield Table(f"{prefix}differences-{names[dataset]}", dataset, columns, rows, data, _notes(of_set))


def _difference(row: Difference, mixed: MixedCheck | None) -> list[Cell]:
    metric = metric_named(row.metric)
    check = Cell(ABSENT)
    if mixed is not None and mixed.difference is not None:
        word = {True: "", False: " (disagrees)", None: ""}[mixed.agrees]
        check = Cell(number(mixed.difference, metric.decimals, True) + word, span(mixed, metric))
    equivalence = Cell(row.equivalence, f"p {p_value(row.p_equivalent)}" if row.p_equivalent is not None else "")
    margin = "" if row.margin is None else f"{row.margin:g}"
    return [
        *(Cell(unit_of(metric)), Cell(name_of(row.level))),
        Cell(number(row.difference, metric.decimals, True), span(row, metric)),
        *(Cell(row.verdict, margin, row.verdict), equivalence, Cell(p_value(row.p_holm))),
        *(Cell(number(row.rank_biserial, 2, True)), Cell(number(row.detectable, metric.decimals)), check),
        Cell(str(row.n_cases), str(row.n_seeds)),
    ]


def contrast_table(rows: Sequence[Contrast], analysis: Analysis, name: str, caption: str) -> Table | None:
    """Contrasts of the primary metric between data sets: a row per data set and level; None where there are none."""
    metric = metric_named(analysis.primary)
    own = [row for row in rows if row.metric == metric.column]
    if not own:
        return None
    columns = [
        *(Column("Data set"), Column("Against", words=True), Column(level_column(analysis))),
        *(Column(unit_of(metric), "95 % interval"), Column("p"), Column("Cases"), Column("Seeds")),
    ]
    cells = [
        [
            *(Cell(row.dataset), Cell(row.reference_dataset), Cell(name_of(row.level))),
            Cell(number(row.value, metric.decimals, True), span(row, metric)),
            *(Cell(p_value(row.p)), Cell(f"{row.n_cases} and {row.n_reference_cases}"), Cell(str(row.n_seeds))),
        ]
        for row in own
    ]
    return Table(name, caption, columns, cells, as_table(rows, Contrast, analysis.comparison.column), _notes(own))


def without_missed_table(analysis: Analysis, name: str) -> Table | None:
    """The primary metric's differences with and without missed and spurious predictions; None where there are none."""
    other, metric = analysis.without_missed, metric_named(analysis.primary)
    if other is None:
        return None
    columns = [
        *(Column("Data set"), Column(level_column(analysis))),
        *(Column("Worst case", "all predictions counted"), Column("Verdict", words=True)),
        *(Column("Without", "missed and spurious left out"), Column("Verdict", words=True)),
    ]
    rows = []
    for row in analysis.differences:
        if row.metric != metric.column or row.group:
            continue
        left = next((r for r in other.differences_of(row.dataset, row.metric) if r.level == row.level), None)
        cells = [Cell(row.dataset), Cell(name_of(row.level))]
        for one in (row, left):
            if one is None:
                cells += [Cell(ABSENT), Cell(ABSENT)]
                continue
            cells += [Cell(number(one.difference, metric.decimals, True), span(one, metric))]
            cells += [Cell(one.verdict, kind=one.verdict)]
        rows.append(cells)
    data = as_table(other.differences, Difference, analysis.comparison.column)
    caption = f"{metric.label} with and without missed and spurious predictions"
    return Table(name, caption, columns, rows, data) if rows else None


def missed_table(cases: pd.DataFrame, analysis: Analysis, name: str) -> Table | None:
    """Missed and spurious predictions: a row per data set, case and level with the seeds; None where there are none."""
    column = analysis.comparison.column
    rows = cases[cases.outcome.isin(["missed", "spurious"])]
    if rows.empty:
        return None
    grouped = rows.groupby(["dataset", column, "case_id", "outcome"], sort=False).seed
    data = grouped.agg(lambda seeds: ", ".join(f"{seed:g}" for seed in sorted(seeds))).reset_index()
    columns = [
        *(Column("Data set"), Column(level_column(analysis)), Column("Case", words=True)),
        *(Column("Outcome", words=True), Column("Seeds", words=True)),
    ]
    cells = [
        [Cell(row[0]), Cell(name_of(row[1])), Cell(row[2]), Cell(row[3]), Cell(row[4])]
        for row in data.head(LISTED).itertuples(index=False)
    ]
    more = [f"And {len(data) - LISTED} more: see {name}.csv."] if len(data) > LISTED else []
    return Table(name, "Missed and spurious predictions", columns, cells, data, more)


def matrix_table(parts: Sequence[tuple[str, Analysis]], name: str) -> Table | None:
    """Training condition x test set: mean of the primary metric at the baseline and at the last level."""
    rows, data = [], []
    datasets = list(dict.fromkeys(dataset for _, analysis in parts for dataset in analysis.datasets))
    for title, analysis in parts:
        metric = metric_named(analysis.primary)
        for level in analysis.levels:
            found = {dataset: analysis.mean(dataset, metric.column, level) for dataset in datasets}
            where = f"{level_column(analysis).lower()} {name_of(level)}"
            rows.append([Cell(title or where, where if title else ""), *(_mean(found[d], metric) for d in datasets)])
            data += [
                {"training": title, analysis.comparison.column: level, "test": dataset, metric.column: row.mean}
                for dataset, row in found.items()
                if row is not None
            ]
    if not rows or (len(datasets) < 2 and len(parts) < 2):
        return None
    label = metric_named(parts[0][1].primary).label
    columns = [Column("Trained on"), *(Column(dataset) for dataset in datasets)]
    return Table(name, f"{label} by training condition and test set", columns, rows, pd.DataFrame(data))


def noise_table(applied: pd.DataFrame, name: str) -> Table | None:
    """The noise that was applied: per annotator how far their labels are from the references, and where they were used.

    Args:
        applied: ``noise_ratio, seed, case_id, annotator, label, dice, hd95_mm, volume_error_ml``.
        name: Of the files.
    """
    if applied.empty or applied.dice.isna().all():
        return None
    ratios = sorted(applied.noise_ratio.unique())
    once = applied.drop_duplicates("case_id")
    columns = [
        *(Column("Annotator"), Column("Cases"), Column("Dice", "median, range"), Column("HD95, mm", "median, range")),
        Column("Volume, ml", "median difference"),
        *(Column(f"Noisy at {ratio:g}", f"seed {_seed(applied, ratio)}") for ratio in ratios),
    ]
    rows, data = [], []
    for annotator, own in [("all", once), *once.groupby("annotator")]:
        used = applied[(applied.label == "noisy") & ((applied.annotator == annotator) | (annotator == "all"))]
        counts = {ratio: int((used.noise_ratio == ratio).sum()) for ratio in ratios}
        scored = own.dropna(subset=["dice"])
        rows.append(
            [
                *(Cell(str(annotator) or "unnamed"), Cell(str(len(own)))),
                *(_median(scored[column], decimals) for column, decimals in (("dice", 3), ("hd95_mm", 1))),
                Cell(number(_middle(scored.volume_error_ml), 1, True)),
                *(Cell(f"{counts[ratio]} of {len(own)}") for ratio in ratios),
            ]
        )
        data.append(
            {"annotator": annotator, "cases": len(own)}
            | {f"{column}_median": _middle(scored[column]) for column in ("dice", "hd95_mm", "volume_error_ml")}
            | {f"noisy_at_{ratio:g}": counts[ratio] for ratio in ratios}
        )
    return Table(name, "Noisy training labels against their references", columns, rows, pd.DataFrame(data))


def _seed(applied: pd.DataFrame, ratio: float) -> str:
    return f"{applied.seed[applied.noise_ratio == ratio].iloc[0]:g}"


def _middle(values: "pd.Series[float]") -> float | None:
    return float(values.median()) if len(values) else None


def _median(values: "pd.Series[float]", decimals: int) -> Cell:
    if values.empty:
        return Cell(ABSENT)
    ends = f"{number(values.min(), decimals)} to {number(values.max(), decimals)}"
    return Cell(number(_middle(values), decimals), ends)


def _notes(rows: Sequence[Mean] | Sequence[Difference] | Sequence[Tolerance] | Sequence[Contrast]) -> list[str]:
    """Each word of caution once, with the levels it belongs to, and the metrics where it is not for all."""
    places: dict[tuple[str, str], list[str]] = {}
    for note in dict.fromkeys(note for row in rows for note in row.notes):
        own = [row for row in rows if note in row.notes]
        metrics = {row.metric for row in own}
        named = [metric.label for metric in METRICS if metric.column in metrics]
        which = f" ({', '.join(named)})" if metrics < {row.metric for row in rows} else ""
        levels = dict.fromkeys(name_of(row.level) for row in own if not isinstance(row, Tolerance))
        places[note, which] = list(levels)
    return [
        f"{'At ' + ', '.join(levels) if levels else 'Here'}{which}: {note}." for (note, which), levels in places.items()
    ]


def _file_names(texts: Sequence[str]) -> dict[str, str]:
    """A piece of a file's name for each text; texts that look alike then are numbered, also for letters of any case."""
    names: dict[str, str] = {}
    for text in texts:
        plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)
        plain = plain.encode()[:LONGEST_NAME].decode(errors="ignore")
        taken = {name.lower() for name in names.values()}
        tries = (plain if number == 1 else f"{plain}-{number}" for number in count(1))
        names[text] = next(name for name in tries if name.lower() not in taken)
    return names
