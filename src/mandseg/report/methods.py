"""methods.md: a text for the methods section of a paper, with the numbers of the study."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from mandseg.report.audience import Audience
from mandseg.report.run_settings import MissingSettingError, Object, RunSettings, run_settings
from mandseg.report.section import Section
from mandseg.report.settings import StudySettings, applied_noise, versions
from mandseg.report.statistics_methods import statistics
from mandseg.report.wording import level_name, listed, number
from mandseg.runs.settings.granularity import takes_any_window
from mandseg.runs.study import Study
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.columns import is_worth_stating
from mandseg.system.wording import count

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
        blocks += _networks(part, study, own, settings, audience)
        blocks += [part.dose.methods] if part.dose else []
    blocks += [statistics([part.analysis for part in parts], study), software(study)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _networks(
    part: Section, study: Study, runs: Sequence[str], settings: StudySettings, audience: Audience
) -> Iterator[str]:
    """The paragraphs of :func:`describe_run`: of one run for all noise ratios, or of one with each name."""
    compared = part.analysis.comparison
    if compared.is_dose:
        yield from _described(runs[0], settings, audience, part.applied)
        return
    found: dict[str, list[str]] = {}
    levels = study.ledger[study.ledger.run.isin(set(runs))].groupby(compared.column, sort=False)
    for level, own in levels:
        for paragraph in _described(own.run.iloc[0], settings, audience, applied_noise(study, own.run)):
            found.setdefault(paragraph, []).append(compared.name(str(level)))
    for paragraph, names in found.items():
        yield paragraph if len(names) == len(levels) else f"With {listed(names)}: {paragraph}"


def _described(run: str, settings: StudySettings, audience: Audience, applied: pd.DataFrame) -> list[str]:
    try:
        return describe_run(run_settings(settings.of(run, audience)), applied)
    except MissingSettingError as error:
        return [f"The networks of run {run} are not described: {error}."]
    except ValueError as error:
        return [f"The networks are not described: {error}."]


def describe_run(settings: RunSettings, applied: pd.DataFrame) -> list[str]:
    """Two paragraphs: first the noisy labels, then network, training and testing."""
    sentences = (network(settings), training(settings), augmentation(settings), testing(settings))
    return [noise(settings, applied), " ".join(sentences)]


def design(analysis: Analysis, study: Study, runs: Sequence[str]) -> str:
    """Levels, seeds, runs and cases."""
    compared = analysis.comparison
    levels = ", ".join(level_name(level) for level in analysis.levels)
    ledger = study.ledger[study.ledger.run.isin(set(runs))]
    of_levels = sorted(set(ledger.groupby(compared.column).seed.nunique()))
    seeds = f"{_range(of_levels)} seed{'' if of_levels == [1] else 's'}"
    what = (
        f"Networks were trained at noise ratios {levels} (the share of training cases with a noisy label)"
        if compared.is_dose
        else f"Networks were trained with {compared.noun} {levels}"
    )
    trained = sorted({int(n) for n in ledger.n_training.dropna()}) if "n_training" in ledger else []
    noisy = [
        f"{_range(rows.n_noisy.dropna())} at noise ratio {ratio:g}"
        for ratio, rows in ledger.groupby("noise_ratio")
        if rows.n_noisy.notna().any()
    ]
    n_cases = f"{_range(trained)} case{'' if trained == [1] else 's'}"
    cases = f" Each was trained on {n_cases}, with noisy labels in {listed(noisy)}." if trained else ""
    trainings = f"{count(len(runs), 'training')} in all"
    return (
        f"{what}, with {seeds} each ({trainings}; the seed sets initial weights, "
        f"case order, patches, augmentation and the nested, annotator-stratified choice of noisy cases).{cases} "
        f"{_budget(ledger)}{_test_sets(analysis)}"
    )


def _budget(ledger: pd.DataFrame) -> str:
    """The clean budgets and how their cases were chosen; empty without a budget."""
    budgets = [str(value) for value in ledger.clean_budget.unique() if is_worth_stating("clean_budget", str(value))]
    rankings = [str(value) for value in ledger.ranking.unique() if is_worth_stating("ranking", str(value))]
    if not budgets:
        return ""
    return (
        f"With a clean budget of {listed(budgets)}, so many training cases (below 1: this share of them) carry the "
        f"reference and are trusted; they are the first of the ranking {listed(rankings)}. "
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
    stages = settings.method.get("stages", ())
    is_plain = len(stages) == 1 and set(stages[0]) <= {"name", "share"}  # one stage without labels of its own
    left_out = ("name", "loss", "stages") if is_plain else ("name", "loss")
    arguments = _arguments({key: value for key, value in settings.method.items() if key not in left_out})
    method = f"{settings.method_name} ({arguments})" if arguments else settings.method_name
    clip = settings.gradient_clip
    clipped = "" if clip is None else f", gradients clipped to a norm of {clip:g}"
    return (
        f"Training: method {method}, loss {_object(settings.loss)}, {settings.steps} steps, batches of "
        f"{settings.batch_size}, patches of {_product(settings.patch_size)} voxels, "
        f"{_percent(settings.foreground_share)} of them centred near the label (up to "
        f"{_percent(settings.jitter_share)} of the patch away) and the others anywhere in the body, "
        f"{_object(settings.optimizer)}, {settings.warmup_steps} steps of warm-up, then half a cosine to "
        f"{_percent(settings.final_lr_share)} of the learning rate{clipped}."
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
            f"{drawn['degrees']:g} degrees about each axis and a change of size of up to "
            f"{_percent(drawn['scale_share'])} along each, by one linear resampling of the CT (a label keeps "
            "its volume); with probability "
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
        f"{weights[0].upper()}{weights[1:]} were tested, {_windows(settings)}, overlapping by "
        f"{_percent(settings.overlap)}. Pieces below {_percent(settings.smallest_piece)} of the largest were dropped. "
        "Masks were scored on the grid of the CT."
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


def _percent(share: float) -> str:
    """A share as it was set: 0.125 is 12.5%."""
    return f"{100 * share:.6g}%"


def _product(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)


def software(study: Study) -> str:
    """Versions and devices."""
    packages = ", ".join(f"{name} {version}" for name, version in versions(study).items())
    done = study.ledger[study.ledger.state == "done"]
    devices = ", ".join(sorted({str(device) for device in done.device.dropna()}))
    precision = ", ".join(sorted({str(name) for name in done.precision.dropna()}))
    ran_on = f" Runs were made on {devices}{f' in {precision}' if precision else ''}." if devices else ""
    return f"Software: {packages}.{ran_on}" if packages else ran_on.strip()


def _range(values: Any) -> str:
    numbers = sorted({int(value) for value in values})
    return "no" if not numbers else str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _ends(values: "pd.Series[float]", decimals: int) -> str:
    return f"{number(values.min(), decimals)} to {number(values.max(), decimals)}"
