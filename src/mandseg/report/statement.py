"""What was done statistically, as the paragraph that a paper's methods section needs."""

from mandseg.metrics.catalogue import metric_named
from mandseg.statistics.analysis import Analysis


def state_methods(analysis: Analysis) -> str:
    """The statistics of one analysis, exactly as they were done, in one paragraph of Markdown."""
    metric, comparison = metric_named(analysis.primary), analysis.comparison
    percent = f"{100 * analysis.resampling.confidence:g} %"
    one_sided = f"{100 * analysis.resampling.tail:g} %"
    baseline = comparison.name(comparison.baseline)
    sentences = [
        "The unit of analysis was the test case. All trainings were tested on the same cases; scores were averaged "
        f"over seeds within each case and compared with {baseline} in pairs of equal seed and case.",
        f"The primary metric was the mean {metric.label}; all others are secondary.",
        "Missed and spurious predictions entered with their worst-case scores (Dice and surface Dice 0, distances the "
        "diagonal of the image), and a second analysis left them out."
        if analysis.without_missed
        else "No prediction was missed or spurious.",
        f"Intervals ({percent}) are from a crossed bootstrap that resamples seeds and subjects independently "
        f"({analysis.resampling.n_resamples} resamples, one seed and one subject fewer than observed), scaled to the "
        "unbiased variance of the two-way analysis of variance and widened by Cochran's weighted t quantile.",
        f"Non-inferiority was claimed where the interval lay within the margin ({analysis.margins.words}; one-sided "
        f"{one_sided}), equivalence where it did on both sides (two one-sided tests of {one_sided}).",
    ]
    if comparison.is_dose:
        sentences.append(
            "The tolerated noise ratio is the largest tested ratio at which it and all smaller ones were non-inferior, "
            "tested in ascending order without further adjustment; its interval, and that of the ratio at which an "
            "isotonic fit of the loss crosses the margin, are percentiles over the same resamples."
        )
    levels = "ratios" if comparison.is_dose else "levels"
    sentences.append(
        "Wilcoxon's signed-rank test of the per-case differences, which takes the trainings as given, was adjusted by "
        f"Holm's method over the {levels} of each data set and metric; effect sizes are matched-pairs rank-biserial "
        "correlations. A linear mixed model with crossed random effects of case and seed, fitted by the method of "
        "moments, served as a sensitivity analysis."
    )
    return " ".join(sentences)
