"""The result in words: what a reader should take home, each number with its interval; an absent number is said."""

from collections.abc import Sequence

from mandseg.margins import METRICS, Metric
from mandseg.statistics import Analysis, Difference, Mean, Tolerance

MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EN DASH}"
DICE = METRICS[0]


def number(value: float | None, decimals: int, signed: bool = False) -> str:
    """A number as it is printed: a true minus sign, no negative zero, a dash where there is none."""
    if value is None:
        return ABSENT
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return (text if float(text) else f"{0:.{decimals}f}").replace("-", MINUS)


def span(row: Mean | Difference, metric: Metric) -> str:
    """Both ends of an interval, or a dash."""
    if row.low is None or row.high is None:
        return ABSENT
    signed = isinstance(row, Difference)
    return f"{number(row.low, metric.decimals, signed)} to {number(row.high, metric.decimals, signed)}"


def p_value(p: float | None) -> str:
    """A p-value to two digits, never zero."""
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def headline(analysis: Analysis) -> str:
    """One sentence: the noise ratio up to which mean Dice holds, or why it cannot be given."""
    ratios = sorted({row.noise_ratio for row in analysis.means})
    if not ratios:
        return "No run is done yet: there is nothing to report."
    if len(ratios) == 1:
        return f"Only noise ratio {ratios[0]:g} has been run: there is no curve yet."
    if 0.0 not in ratios:
        return "No run at noise ratio 0 is done: the loss against clean labels cannot be given."
    rows = [row for row in analysis.tolerances if row.metric == DICE.column]
    if not rows:
        return "No margin is stated for Dice: no tolerated noise ratio can be given."
    sentence = _tolerance_sentence(rows, ratios[1], ratios[-1])
    one_seed = all(row.n_seeds <= 1 for row in analysis.differences)
    return f"As far as one seed can tell: {sentence[0].lower()}{sentence[1:]}" if one_seed else sentence


def _tolerance_sentence(rows: Sequence[Tolerance], first: float, last: float) -> str:
    """Data sets grouped by the ratio they tolerate, the largest ratio first."""
    kept = f"within {rows[0].margin:g} of training on clean labels"
    groups: dict[float | None, list[str]] = {}
    for row in sorted(rows, key=lambda row: -(row.tolerated or 0.0)):
        groups.setdefault(row.tolerated, []).append(row.dataset)
    lost = groups.pop(None, [])
    if not groups:
        return f"Already at noise ratio {first:g}, mean Dice is not shown to stay {kept} {_where(lost, rows)}."
    (most, names), *others = groups.items()
    reach = f"At every tested noise ratio, up to {last:g}" if most == last else f"Up to a noise ratio of {most:g}"
    parts = [f"{reach}, mean Dice stays {kept} {_where(names, rows)}"]
    parts += [f"up to {ratio:g} on {_listed(names)}" for ratio, names in others]
    parts += [f"on {_listed(lost)}, not even {first:g} is shown to be tolerated"] if lost else []
    return "; ".join(parts) + "."


def _where(names: Sequence[str], rows: Sequence[Tolerance]) -> str:
    return f"on all {len(rows)} data sets" if 1 < len(rows) == len(names) else f"on {_listed(names)}"


def sentences(analysis: Analysis) -> list[str]:
    """For each data set: Dice with clean labels, the last tolerated ratio and the first that is not."""
    lines = []
    for dataset in dict.fromkeys(row.dataset for row in analysis.means):
        means = [row for row in analysis.means if (row.dataset, row.metric) == (dataset, DICE.column)]
        if means:
            parts = [_mean_words(means[0]), *_difference_words(analysis, dataset)]
            lines.append(" ".join(parts))
    return lines


def _mean_words(mean: Mean) -> str:
    interval = f"95 % interval {span(mean, DICE)}" if mean.low is not None else "no interval"
    missed = f", {mean.n_missed} of {mean.n_predictions} predictions are empty" if mean.n_missed else ""
    return (
        f"{mean.dataset}: at noise ratio {mean.noise_ratio:g}, mean Dice is {number(mean.mean, DICE.decimals)} "
        f"({interval}; {_count(mean.n_cases, 'case')}, {_count(mean.n_seeds, 'seed')}{missed})."
    )


def _difference_words(analysis: Analysis, dataset: str) -> list[str]:
    rows = {row.noise_ratio: row for row in analysis.differences_of(dataset, DICE.column)}
    tolerance = next((t for t in analysis.tolerances if (t.dataset, t.metric) == (dataset, DICE.column)), None)
    if tolerance is None:
        return []
    told = [ratio for ratio in (tolerance.tolerated, tolerance.stopped_at) if ratio is not None]
    return [_one_difference(rows[ratio]) for ratio in told]


def _one_difference(row: Difference) -> str:
    if row.difference is None:
        return f"At {row.noise_ratio:g}: {'; '.join(row.notes)}."
    meaning = {
        "non-inferior": "no worse than the margin allows",
        "inferior": "worse than the margin allows",
        "inconclusive": "which neither keeps nor clearly breaks the margin",
    }
    interval = span(row, DICE) if row.low is not None else "no interval"
    size = number(row.difference, DICE.decimals, signed=True)
    return f"At {row.noise_ratio:g} it differs by {size} ({interval}), {meaning.get(row.verdict, row.verdict)}."


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
