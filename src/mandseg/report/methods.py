"""methods.md: a text for the methods section of a paper, with the numbers of the study."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mandseg.metrics.catalogue import METRICS, metric_named
from mandseg.report.audience import Audience
from mandseg.report.run_settings import MissingSettingError, Object, RunSettings, run_settings
from mandseg.report.section import Section
from mandseg.report.settings import StudySettings, versions
from mandseg.report.wording import amount, count, level_name, listed, number
from mandseg.runs.settings.granularity import takes_any_window
from mandseg.runs.study import Study
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Difference

SKIPPED = ("_target_", "_convert_", "_partial_", "annotators", "leave_out")
"""Keys that a description leaves out: those of Hydra, and people."""
WEIGHTS = {"last": "the last weights", "best": "the weights with the highest validation Dice (reference labels)"}


def methods(
    study: Study, parts: Sequence[Section], runs: Sequence[Sequence[str]], settings: StudySettings, audience: Audience
) -> str:
    """The text of methods.md: a section for each arm, then statistics and software. It names settings that are missing.

    Args:
        study: The study.
        parts: Its arms.
        runs: The done runs of each arm.
        settings: The settings of all runs.
        audience: Who reads it.
    """
    if not parts:
        return f"# Methods of study {study.name}\n\nNo run is done: there is nothing to describe.\n"
    blocks = [f"# Methods of study {study.name}"]
    for part, own in zip(parts, runs, strict=True):
        blocks += [f"## {part.title}"] if len(parts) > 1 else []
        blocks.append(design(part.analysis, study, own))
        try:
            blocks += describe_run(run_settings(settings.of(own[0], audience)), part.applied)
        except MissingSettingError as error:
            blocks.append(f"The networks of run {own[0]} are not described: {error}.")
        except ValueError as error:
            blocks.append(f"The networks are not described: {error}.")
        blocks += [part.dose.methods] if part.dose else []
    blocks += [statistics(parts[0].analysis, study), software(study)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def describe_run(settings: RunSettings, applied: pd.DataFrame) -> list[str]:
    """Two paragraphs: first the noisy labels, then network, training and testing."""
    sentences = (network(settings), training(settings), augmentation(settings), testing(settings))
    return [noise(settings, applied), " ".join(sentences)]


def design(analysis: Analysis, study: Study, runs: Sequence[str]) -> str:
    """Levels, seeds, runs and cases."""
    compared = analysis.comparison
    levels = ", ".join(level_name(level) for level in analysis.levels)
    ledger = study.ledger[study.ledger.run.isin(set(runs))]
    seeds = sorted(ledger.seed.dropna().unique())
    what = (
        f"Networks were trained at noise ratios {levels} (the share of training cases with a noisy label)"
        if compared.is_dose
        else f"Networks were trained with {compared.column} {levels}"
    )
    trained = sorted({int(n) for n in ledger.n_training.dropna()}) if "n_training" in ledger else []
    noisy = [
        f"{_range(rows.n_noisy.dropna())} at {ratio:g}"
        for ratio, rows in ledger.groupby("noise_ratio")
        if rows.n_noisy.notna().any()
    ]
    cases = f" Each was trained on {_range(trained)} cases, with noisy labels in {listed(noisy)}." if trained else ""
    return (
        f"{what}, with {count(len(seeds), 'seed')} each ({len(runs)} trainings in all; the seed sets initial weights, "
        f"case order, patches, augmentation and the nested, annotator-stratified choice of noisy cases).{cases} "
        f"{_test_sets(analysis)}"
    )


def _test_sets(analysis: Analysis) -> str:
    metric = analysis.primary
    tested = []
    for dataset in analysis.datasets:
        rows = analysis.of(analysis.means, dataset, metric)
        if rows:
            tested.append(f"{dataset} ({count(max(row.n_cases for row in rows), 'case')})")
    missed = sum(row.n_missed + row.n_spurious for row in analysis.means if (row.metric, row.group) == (metric, ""))
    faults = f" {count(missed, 'prediction')} {'was' if missed == 1 else 'were'} missed or spurious." if missed else ""
    return f"All were tested on {listed(tested)}, always against the reference label.{faults}" if tested else ""


def noise(settings: RunSettings, applied: pd.DataFrame) -> str:
    """The noise source, and the distance of its labels from the references."""
    source = (
        f"Noisy labels of data set `{settings.data_name}`: preset `{settings.noise_name}`, {_object(settings.noise)}"
    )
    if applied.empty or applied.dice.isna().all():
        return f"{source}. Their distance from the references was not measured."
    once = applied.drop_duplicates("case_id").dropna(subset=["dice"])
    dice = f"median Dice {number(once.dice.median(), 3)} ({_ends(once.dice, 3)})"
    hd95 = f"HD95 {number(once.hd95_mm.median(), 1)} mm ({_ends(once.hd95_mm, 1)})"
    volume = f"volume {number(once.volume_error_ml.median(), 1, True)} ml"
    drawn_by = once.annotator[once.annotator != ""].nunique()
    people = f", drawn by {count(drawn_by, 'annotator')}" if drawn_by else ""
    return (
        f"{source}. Against the reference of the same {count(len(once), 'training case')}, on the training grid: "
        f"{dice}, {hd95}, {volume}{people}."
    )


def network(settings: RunSettings) -> str:
    """The preprocessing and the network."""
    prior = settings.foreground_prior
    start = "" if prior is None else f" Untrained, it predicts {prior:g} of all voxels as foreground."
    return (
        f"CTs were cropped to the body with {settings.margin_mm:g} mm around it and resampled to "
        f"{_product(settings.spacing_mm)} mm. HU were clipped to {settings.hu_low:g} to {settings.hu_high:g} and "
        f"scaled to [-1, 1]. Network: {settings.model_name}, {_object(settings.network)}.{start}"
    )


def training(settings: RunSettings) -> str:
    """Method, steps, batches, patches, optimiser."""
    arguments = _arguments({key: value for key, value in settings.method.items() if key not in ("name", "loss")})
    method = f"{settings.method_name} ({arguments})" if arguments else settings.method_name
    clip = settings.gradient_clip
    clipped = "" if clip is None else f", gradients clipped to a norm of {clip:g}"
    return (
        f"Training: method {method}, loss {_object(settings.loss)}, {settings.steps} steps, batches of "
        f"{settings.batch_size}, patches of {_product(settings.patch_size)} voxels, {settings.foreground_share:.0%} of "
        f"them centred near the label (up to {settings.jitter_share:.0%} of the patch away) and the others anywhere in "
        f"the body, {_object(settings.optimizer)}, {settings.warmup_steps} steps of warm-up, then half a cosine to "
        f"{settings.final_lr_share:.0%} of the learning rate{clipped}."
    )


def augmentation(settings: RunSettings) -> str:
    """The augmentation of a patch."""
    if settings.augmentation is None:
        return "Patches were not augmented."
    target = str(settings.augmentation.get("_target_"))
    if target.startswith("mandseg.") and target.endswith(".Augmentation"):
        return _own_augmentation(settings.augmentation)
    steps = settings.augmentation.get("transforms", [settings.augmentation])
    return f"Augmentation of each patch, in this order: {listed([_object(step) for step in steps])}."


def _own_augmentation(drawn: Object) -> str:
    try:
        return (
            f"Augmentation of each patch: with probability {drawn['affine_probability']:g} a rotation of up to "
            f"{drawn['degrees']:g} degrees about each axis and a change of size of up to {drawn['scale_share']:.0%} "
            "along each, by one linear resampling of the CT (a label keeps its volume); with probability "
            f"{drawn['flip_probability']:g} an exchange of left and right; with probability "
            f"{drawn['noise_probability']:g} Gaussian noise with a standard deviation of up to {drawn['noise_sd']:g} "
            "on the scale from -1 to 1."
        )
    except KeyError as error:
        raise MissingSettingError(f"the settings lack patches.augmentation.{error.args[0]}") from error


def testing(settings: RunSettings) -> str:
    """The tested weights and the test procedure."""
    weights = WEIGHTS.get(settings.checkpoint, settings.checkpoint)
    return (
        f"{weights[0].upper()}{weights[1:]} were tested, {_windows(settings)}, overlapping by {settings.overlap:.0%}. "
        f"Pieces below {settings.smallest_piece:.0%} of the largest were dropped. Masks "
        "were scored on the grid of the CT."
    )


def _windows(settings: RunSettings) -> str:
    """The windows of the test: a network that takes windows of one size only gets those of its training."""
    if settings.window == "auto" and takes_any_window(settings.network):
        return "each CT in one window where memory allowed it, else in the largest equal windows"
    size = settings.patch_size if isinstance(settings.window, str) else settings.window
    return f"in windows of {_product(size)} voxels"


def _object(made: Object, by_class: bool = False) -> str:
    """An object of the config in words: `` `package.Class` (key value, ...)``.

    Raises:
        MissingSettingError: The object has no ``_target_``.
    """
    if "_target_" not in made:
        raise MissingSettingError(f"a setting with {', '.join(map(str, made)) or 'no key'} lacks _target_")
    target = str(made["_target_"])
    arguments = _arguments({key: value for key, value in made.items() if key != "name"})
    name = target.rpartition(".")[2] if by_class else f"`{target}`"
    return f"{name} ({arguments})" if arguments else name


def _arguments(settings: Object) -> str:
    kept = {key: value for key, value in settings.items() if key not in SKIPPED and value is not None}
    return ", ".join(f"{key} {_value(value)}" for key, value in kept.items())


def _value(value: Any) -> str:
    """A value in words; an object of this package inside another object is named by its class only."""
    if isinstance(value, Mapping) and "_target_" in value:
        return _object(value, by_class=str(value["_target_"]).startswith("mandseg."))
    if isinstance(value, Mapping):
        return f"{{{_arguments(value)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _product(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)


def statistics(analysis: Analysis, study: Study) -> str:
    """The statistical methods, the source of the primary metric and the margins, and the detectable difference."""
    metric = metric_named(analysis.primary)
    origin = "declared in the configuration before the runs" if study.declaration.is_declared else "the defaults"
    sources = [
        f"{m.label} {amount(margin, m)}" + f" ({analysis.margins.source(m)})"
        for m in METRICS
        if (margin := analysis.margins.of(m)) is not None
    ]
    compared = [row for row in analysis.differences if (row.metric, row.group) == (metric.column, "")]
    return (
        f"Statistics: {state_methods(analysis)} The primary metric and the margins were {origin}; sources of the "
        f"margins: {'; '.join(sources)}.{_detectable(compared, metric.decimals)}"
    )


def _detectable(rows: Sequence[Difference], decimals: int) -> str:
    detectable = [row.detectable for row in rows if row.detectable is not None]
    if not detectable:
        return ""
    low, high = number(min(detectable), decimals), number(max(detectable), decimals)
    span = low if low == high else f"{low} to {high}"
    return f" The smallest true difference that this design finds with 80 % power: {span}."


def software(study: Study) -> str:
    """Versions and devices."""
    packages = ", ".join(f"{name} {version}" for name, version in versions(study).items())
    done = study.ledger[study.ledger.state == "done"]
    devices = ", ".join(sorted({str(device) for device in done.device.dropna()}))
    precision = ", ".join(sorted({str(name) for name in done.precision.dropna()}))
    ran_on = f" Runs were made on {devices}{f' in {precision}' if precision else ''}." if devices else ""
    return f"Software: {packages}.{ran_on}" if packages else ran_on.strip()


def state_methods(analysis: Analysis) -> str:
    """The statistical methods of one analysis in one paragraph of Markdown."""
    metric, comparison = metric_named(analysis.primary), analysis.comparison
    percent = f"{100 * analysis.resampling.confidence:g} %"
    one_sided = f"{100 * analysis.resampling.tail:g} %"
    baseline = comparison.name(comparison.baseline)
    sentences = [
        "The unit of analysis was the test case. All trainings were tested on the same cases; scores were averaged "
        f"over seeds within each case and compared with {baseline} in pairs of equal seed and case.",
        f"The primary metric was the mean {metric.label}. All other metrics are secondary.",
        "Missed and spurious predictions entered with their worst-case scores (Dice and surface Dice 0, distances the "
        "diagonal of the image), and a second analysis left them out."
        if analysis.without_missed
        else "No prediction was missed or spurious.",
        f"Intervals ({percent}) are from a crossed bootstrap that resamples seeds and subjects independently "
        f"({analysis.resampling.n_resamples} resamples, one seed and one subject fewer than observed), scaled to the "
        "unbiased variance of the two-way analysis of variance and widened by Cochran's weighted t quantile.",
        f"Non-inferiority was claimed where the interval lay within the margin ({analysis.margins.words}; one-sided "
        f"{one_sided}), equivalence where it lay within the margin on both sides (two one-sided tests of {one_sided}).",
    ]
    if comparison.is_dose:
        sentences.append(
            "The tolerated noise ratio is the largest tested ratio at which it and all smaller ones were non-inferior, "
            "tested in ascending order without further adjustment. Its interval and the interval of the ratio at which "
            "an isotonic fit of the loss crosses the margin are percentiles over the same resamples."
        )
    levels = "ratios" if comparison.is_dose else "levels"
    sentences.append(
        "Wilcoxon's signed-rank test of the per-case differences, which takes the trainings as given, was adjusted by "
        f"Holm's method over the {levels} of each data set and metric. Effect sizes are matched-pairs rank-biserial "
        "correlations. A linear mixed model with crossed random effects of case and seed, fitted by the method of "
        "moments, served as a sensitivity analysis."
    )
    return " ".join(sentences)


def _range(values: Any) -> str:
    numbers = sorted({int(value) for value in values})
    return "no" if not numbers else str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _ends(values: "pd.Series[float]", decimals: int) -> str:
    return f"{number(values.min(), decimals)} to {number(values.max(), decimals)}"
