"""The statistics in the methods section: only the analyses that were made are described."""

from collections.abc import Sequence

from mandseg.metrics.catalogue import METRICS, metric_named
from mandseg.metrics.declaration import Declaration
from mandseg.report.wording import amount, number
from mandseg.runs.study import Study
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Difference


def statistics(analyses: Sequence[Analysis], study: Study) -> str:
    """The statistical methods, the source of the primary metric and the margins, and the detectable difference.

    Args:
        analyses: Those of all arms, which have the same comparison and margins.
        study: The study.
    """
    analysis = analyses[0]
    metric = metric_named(analysis.primary)
    origin = "declared in the configuration before the runs" if _is_chosen(study.declaration) else "the defaults"
    sources = [
        f"{m.label} {amount(margin, m)}" + f" ({analysis.margins.source(m)})"
        for m in METRICS
        if (margin := analysis.margins.of(m)) is not None
    ]
    compared = [row for each in analyses for row in each.differences if (row.metric, row.group) == (metric.column, "")]
    return (
        f"Statistics: {state_methods(analyses)} The primary metric and the margins were {origin}; sources of the "
        f"margins: {'; '.join(sources)}.{_detectable(compared, metric.decimals)}"
    )


def _is_chosen(declaration: Declaration) -> bool:
    """Whether the configs state something else than the defaults, which every config repeats."""
    usual = Declaration()
    return declaration.is_declared and (declaration.primary, declaration.margins) != (usual.primary, usual.margins)


def _detectable(rows: Sequence[Difference], decimals: int) -> str:
    detectable = [row.detectable for row in rows if row.detectable is not None]
    if not detectable:
        return ""
    low, high = number(min(detectable), decimals), number(max(detectable), decimals)
    span = low if low == high else f"{low} to {high}"
    return f" The smallest true difference that this design finds with 80 % power: {span}."


def has_one_seed(analysis: Analysis) -> bool:
    """Whether each level was trained with one seed, so that the intervals are over cases alone."""
    return all(row.n_seeds <= 1 for row in analysis.means)


def state_methods(analyses: Sequence[Analysis]) -> str:
    """The statistical methods of the analyses of all arms in one paragraph of Markdown."""
    analysis = analyses[0]
    metric, comparison = metric_named(analysis.primary), analysis.comparison
    percent = f"{100 * analysis.resampling.confidence:g} %"
    one_sided = f"{100 * analysis.resampling.tail:g} %"
    baseline = comparison.name(comparison.baseline)
    one_seed = all(map(has_one_seed, analyses))
    averaged = f"averaged over seeds within each case and compared with {baseline} in pairs of equal seed and case."
    sentences = [
        "The unit of analysis was the test case. All trainings were tested on the same cases; scores were "
        + (f"compared with {baseline} in pairs of equal case." if one_seed else averaged),
        f"The primary metric was the mean {metric.label}. All other metrics are secondary.",
        "Missed and spurious predictions entered with their worst-case scores (Dice and surface Dice 0, distances the "
        "diagonal of the image), and a second analysis left them out."
        if any(each.without_missed for each in analyses)
        else "No prediction was missed or spurious.",
        _intervals(analysis, percent, one_seed),
        f"Non-inferiority was claimed where the interval lay within the margin ({analysis.margins.words}; one-sided "
        f"{one_sided}), equivalence where it lay within the margin on both sides (two one-sided tests of {one_sided}).",
    ]
    if comparison.has_tolerance:
        sentences.append(
            "The tolerated noise ratio is the largest tested ratio at which it and all smaller ones were non-inferior, "
            "tested in ascending order without further adjustment. Its interval and the interval of the ratio at which "
            "an isotonic fit of the loss crosses the margin are percentiles over the same resamples."
        )
    levels = "ratios" if comparison.is_dose else "levels"
    sentences.append(
        "Wilcoxon's signed-rank test of the per-case differences, which takes the trainings as given, was adjusted by "
        f"Holm's method over the {levels} of each data set and metric. Effect sizes are matched-pairs rank-biserial "
        "correlations."
    )
    if any(row.difference is not None for each in analyses for row in each.mixed):
        sentences.append(
            "A linear mixed model with crossed random effects of case and seed, fitted by the method of moments, "
            "served as a sensitivity analysis."
        )
    return " ".join(sentences)


def _intervals(analysis: Analysis, percent: str, one_seed: bool) -> str:
    """How the intervals were made: over seeds and subjects, or over the subjects of one seed."""
    n = analysis.resampling.n_resamples
    if one_seed:
        return (
            f"Intervals ({percent}) are from a bootstrap that resamples subjects ({n} resamples, one subject fewer "
            "than observed), widened by the t quantile. Each condition was trained with one seed: the intervals take "
            "the trainings as given and do not contain the variation between trainings."
        )
    return (
        f"Intervals ({percent}) are from a crossed bootstrap that resamples seeds and subjects independently "
        f"({n} resamples, one seed and one subject fewer than observed), scaled to the unbiased variance of the "
        "two-way analysis of variance and widened by Cochran's weighted t quantile."
    )
