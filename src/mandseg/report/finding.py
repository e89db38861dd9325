"""The result in words: each number with its interval, and a reason for each number that is missing."""

from collections.abc import Sequence

from mandseg.metrics.catalogue import Metric, metric_named
from mandseg.report.wording import amount, listed, number, percent, span
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.comparison import Comparison
from mandseg.statistics.non_inferiority import PREDICATES, Verdict
from mandseg.statistics.results import Crossing, Difference, Mean, Tolerance
from mandseg.system.wording import count, some_of


def headline(analysis: Analysis) -> str:
    """One sentence: what the primary metric shows, or why there is no conclusion."""
    levels, comparison, metric = analysis.levels, analysis.comparison, metric_named(analysis.primary)
    if not levels:
        return "No run is done yet: there is nothing to report."
    if analysis.datasets and all(dataset in analysis.unlearned for dataset in analysis.datasets):
        subject = "noise" if comparison.is_dose else f"the {comparison.noun}"
        return f"No conclusion about {subject} is possible: {_unlearned(analysis)}."
    if len(levels) == 1:
        none = "curve" if comparison.is_dose else "comparison"
        return f"Only {comparison.name(levels[0])} was run: there is no {none} yet."
    if comparison.baseline not in levels:
        loss = "the loss against clean labels" if comparison.has_tolerance else "differences from it"
        return f"No run at {comparison.name(comparison.baseline)} is done: {loss} cannot be given."
    if analysis.margins.of(metric) is None:
        return f"No margin is stated for {metric.label}: {_wanted(comparison)} can be given."
    rows = [row for row in analysis.differences if row.metric == metric.column and not row.group]
    if rows and all(row.difference is None for row in rows):
        return f"Nothing can be paired: {_why_unpaired(analysis, rows)}."
    in_words = _tolerance_sentence if comparison.has_tolerance else _comparison_sentence
    sentence = in_words(analysis, metric)
    if analysis.unlearned:
        sets = listed(list(analysis.unlearned))
        sentence = f"No conclusion about {sets} is possible: {_unlearned(analysis)}. {sentence}"
    if analysis.unpaired and any(row.difference is None for row in rows):
        sentence = f"{sentence} Not everything can be paired: {_why_unpaired(analysis, rows)}."
    paired = [row for row in rows if row.difference is not None]
    alone = dict.fromkeys(comparison.name(row.level) for row in paired if row.n_seeds == 1)
    if alone and all(row.n_seeds == 1 for row in paired):
        return f"One seed only. {sentence}"
    return f"{sentence} One seed only at {listed(list(alone))}." if alone else sentence


def _unlearned(analysis: Analysis) -> str:
    """The baseline, and for each data set the sign that the network has not learned."""
    reasons = "; ".join(f"{why} on {dataset}" for dataset, why in analysis.unlearned.items())
    return f"at {analysis.comparison.name(analysis.comparison.baseline)} the network has not learned ({reasons})"


def _why_unpaired(analysis: Analysis, rows: Sequence[Difference]) -> str:
    """The seeds of each level; without them, the notes of the differences."""
    if analysis.unpaired:
        both = "at both ratios" if analysis.comparison.is_dose else "at both levels"
        levels = analysis.comparison.ordered(list(analysis.unpaired))
        return f"no seed was run {both} ({'; '.join(analysis.unpaired[level] for level in levels)})"
    return "; ".join(dict.fromkeys(note for row in rows for note in row.notes))


def _wanted(comparison: Comparison) -> str:
    return "no tolerated noise ratio" if comparison.has_tolerance else "no verdict"


def _tolerance_sentence(analysis: Analysis, metric: Metric) -> str:
    """What every data set tolerates, the least first, and the verdict on the ratio above it."""
    rows = [row for row in analysis.tolerances if row.metric == metric.column and not row.group]
    against = analysis.comparison.name(analysis.comparison.baseline)
    if not rows:
        return f"No data set was scored at {against} and at another one: {_wanted(analysis.comparison)} can be given."
    groups: dict[tuple[str, str], list[str]] = {}
    for row in sorted(rows, key=lambda row: row.tolerated or 0.0):
        groups.setdefault(_reach(row), []).append(row.dataset)
    within = f"shown to stay within {amount(rows[0].margin, metric)} of training on clean labels"
    if len(groups) == 1:
        ((reach, stop),) = groups
        is_all = 1 < len(rows) == len(analysis.datasets)
        where = f"all {len(rows)} data sets" if is_all else listed([row.dataset for row in rows])
        shown = f"not {within} at any tested noise ratio" if rows[0].tolerated is None else f"{within} {reach}"
        sentence = f"Mean {metric.label} is {shown} on {where}{stop}."
    else:
        parts = "; ".join(f"on {listed(names)} {reach}{stop}" for (reach, stop), names in groups.items())
        sentence = f"The data sets differ. Mean {metric.label} is {within}: {parts}."
    considered = {row.dataset for row in rows} | set(analysis.unlearned)
    absent = [name for name in analysis.datasets if name not in considered]
    return f"{sentence} {listed(absent)} cannot be compared with {against}." if absent else sentence


def _reach(row: Tolerance) -> tuple[str, str]:
    """Up to which ratio a data set tolerates noise, and the verdict on the next one."""
    if row.stopped_at is None:
        return f"at every tested noise ratio (up to {row.tolerated:g})", ""
    reach = "at no tested noise ratio" if row.tolerated is None else f"up to a noise ratio of {row.tolerated:g}"
    return reach, f" ({row.stopped_at:g} {PREDICATES[row.verdict_there or 'not comparable']})"


def _comparison_sentence(analysis: Analysis, metric: Metric) -> str:
    """For each level and data set the verdict in words."""
    rows = [row for row in analysis.differences if row.metric == metric.column and not row.group]
    margin, compared = amount(analysis.margins.of(metric) or 0.0, metric), analysis.comparison
    parts = []
    for level in dict.fromkeys(row.level for row in rows):
        verdicts: dict[Verdict, list[str]] = {}
        for row in rows:
            if row.level == level:
                verdicts.setdefault(row.verdict, []).append(row.dataset)
        predicates = ", ".join(f"{PREDICATES[verdict]} on {listed(names)}" for verdict, names in verdicts.items())
        parts.append(f"{compared.name(level)} {predicates}")
    sentence = f"Against {compared.name(compared.baseline)}, with a margin of {margin} in mean {metric.label}: "
    return f"{sentence}{'; '.join(parts)}."


def sentences(analysis: Analysis) -> list[str]:
    """For each data set: the primary metric at the baseline, the last tolerated ratio, the next, the first inferior."""
    metric = metric_named(analysis.primary)
    lines = []
    for dataset in analysis.datasets:
        means = analysis.of(analysis.means, dataset, metric.column)
        if means:
            parts = [_mean_words(means[0], metric, analysis), *_difference_words(analysis, dataset, metric)]
            lines.append(" ".join(parts))
    return lines


def _mean_words(mean: Mean, metric: Metric, analysis: Analysis) -> str:
    interval = f"{percent(analysis)} interval {span(mean, metric)}" if mean.low is not None else "no interval"
    missed = f", {some_of(mean.n_missed, mean.n_predictions, 'prediction', 'are')} empty" if mean.n_missed else ""
    return (
        f"{mean.dataset}: at {analysis.comparison.name(mean.level)}, mean {metric.label} is "
        f"{number(mean.mean, metric.decimals)} ({interval}; {count(mean.n_cases, 'case')}, "
        f"{count(mean.n_seeds, 'seed')}{missed})."
    )


def _difference_words(analysis: Analysis, dataset: str, metric: Metric) -> list[str]:
    rows = {row.level: row for row in analysis.differences_of(dataset, metric.column)}
    if not analysis.comparison.has_tolerance:
        return [_one_difference(row, metric, analysis) for row in rows.values()]
    tolerance = next(iter(analysis.of(analysis.tolerances, dataset, metric.column)), None)
    if tolerance is None:
        return []
    inferior = next((row.noise_ratio for row in rows.values() if row.verdict == "inferior"), None)
    wanted = (tolerance.tolerated, tolerance.stopped_at, inferior)
    ratios = list(dict.fromkeys(ratio for ratio in wanted if ratio is not None))
    crossing = next(iter(analysis.of(analysis.crossings, dataset, metric.column)), None)
    differences = [_one_difference(rows[ratio], metric, analysis) for ratio in ratios]
    return differences + _estimate_words(tolerance) + _crossing_words(crossing)


def _estimate_words(tolerance: Tolerance) -> list[str]:
    """The estimate of the tolerated ratio with its interval; nothing without an interval."""
    if tolerance.estimate is None or tolerance.low is None:
        return []
    here = f"{tolerance.estimate:g} ({tolerance.low:g} to {tolerance.high:g})"
    return [f"The largest tested ratio with a mean loss below the margin is {here}."]


def _crossing_words(crossing: Crossing | None) -> list[str]:
    """Where the fitted curve crosses the margin; nothing where its whole interval lies beyond the tested ratios."""
    if crossing is None or crossing.low is None:
        return []
    if crossing.crossing is None:
        beyond = f"its interval is {crossing.low:.2f} to beyond {crossing.largest:g}"
        return [f"The fitted loss does not reach the margin up to noise ratio {crossing.largest:g} ({beyond})."]
    return [f"The fitted loss reaches the margin at noise ratio {crossing.words}."]


def _one_difference(row: Difference, metric: Metric, analysis: Analysis) -> str:
    where = f"At {row.level:g}" if analysis.comparison.is_dose else f"With {analysis.comparison.name(row.level)}"
    if row.difference is None:
        return f"{where}: {'; '.join(row.notes)}."
    interval = span(row, metric) if row.low is not None else "no interval"
    size = number(row.difference, metric.decimals, signed=True)
    better = f"; {_better(row, metric)}" if not analysis.comparison.is_dose and _better(row, metric) else ""
    return f"{where} the change is {size} ({interval}), which {PREDICATES[row.verdict]}{better}."


def _better(row: Difference, metric: Metric) -> str:
    """Whether the whole interval shows an improvement or a loss; empty if it contains 0 or there is none."""
    if row.low is None or row.high is None or metric.better is None or row.low <= 0 <= row.high:
        return ""
    return f"the whole interval is {'worse' if metric.worsening(row.low) > 0 else 'better'} than no change"
