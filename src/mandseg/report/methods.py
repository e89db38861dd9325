"""What exactly was done, in a paragraph a paper can take over: methods.md, its numbers from the study itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mandseg.metrics.catalogue import METRICS, metric_named
from mandseg.report.section import Part
from mandseg.report.settings import config_of, versions
from mandseg.report.statement import state_methods
from mandseg.report.wording import number
from mandseg.runs.study import Study
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.results import Difference

KNOBS = ("channels", "strides", "num_res_units", "norm", "dropout", "filters", "init_filters")


def methods(study: Study, parts: Sequence[Part], runs: Sequence[Sequence[str]]) -> str:
    """methods.md: a section per arm, then what all share.

    Args:
        study: The study.
        parts: Its arms.
        runs: The done runs of each arm.
    """
    if not parts:
        return f"# Methods of study {study.name}\n\nNo run is done: there is nothing to describe.\n"
    lines = [f"# Methods of study {study.name}", ""]
    for part, own in zip(parts, runs, strict=True):
        config = config_of(study, own[0])
        config = config if isinstance(config, Mapping) else {}
        lines += [f"## {part.title}", ""] if len(parts) > 1 else []
        paragraphs = (
            [design(part.analysis, study, own), noise(part, config)],
            [network(config), training(config), testing(config)],
        )
        lines += [text for sentences in paragraphs if (text := " ".join(filter(None, sentences)))]
        lines.append("")
    lines += [statistics(parts[0].analysis, study), "", software(study), ""]
    return "\n\n".join(block for block in "\n".join(lines).split("\n") if block) + "\n"


def design(analysis: Analysis, study: Study, runs: Sequence[str]) -> str:
    """Levels, seeds, runs and cases."""
    compared = analysis.comparison
    levels = ", ".join(f"{level:g}" if isinstance(level, int | float) else level for level in analysis.levels)
    ledger = study.ledger[study.ledger.run.isin(set(runs))]
    seeds = sorted(ledger.seed.dropna().unique())
    what = (
        f"Networks were trained at noise ratios {levels}, the share of training cases that carried their noisy label"
        if compared.is_dose
        else f"Networks were trained with {compared.column} {levels}"
    )
    trained = sorted({int(n) for n in ledger.n_training.dropna()}) if "n_training" in ledger else []
    noisy = [
        f"{_range(rows.n_noisy.dropna())} at {ratio:g}"
        for ratio, rows in ledger.groupby("noise_ratio")
        if rows.n_noisy.notna().any()
    ]
    cases = f" Each was trained on {_range(trained)} cases, of which {_listed(noisy)} carried it." if trained else ""
    return (
        f"{what}, with {_count(len(seeds), 'seed')} each ({len(runs)} trainings in all; the seed sets initial weights, "
        f"case order, patches, augmentation and the nested, annotator-stratified choice of noisy cases).{cases} "
        f"{_test_sets(analysis)}"
    )


def _test_sets(analysis: Analysis) -> str:
    metric = analysis.primary
    told = []
    for dataset in analysis.datasets:
        rows = analysis.of(analysis.means, dataset, metric)
        if rows:
            told.append(f"{dataset} ({_count(max(row.n_cases for row in rows), 'case')})")
    missed = sum(row.n_missed + row.n_spurious for row in analysis.means if (row.metric, row.group) == (metric, ""))
    faults = f" {_count(missed, 'prediction')} {'was' if missed == 1 else 'were'} missed or spurious." if missed else ""
    return f"All were tested on {_listed(told)}, always against the reference label.{faults}" if told else ""


def noise(part: Part, config: Mapping[str, Any]) -> str:
    """The noise source, and how far its labels were from the references."""
    name, target = _setting(config, "noise.name"), _setting(config, "noise.source._target_")
    source = f"Noisy labels: preset `{name}`" + (f" (`{target}`)" if target else "") if name else ""
    applied = part.applied
    if applied.empty or applied.dice.isna().all():
        return f"{source}; how far they are from the references was not measured." if source else ""
    once = applied.drop_duplicates("case_id").dropna(subset=["dice"])
    dice = f"median Dice {number(once.dice.median(), 3)} ({_ends(once.dice, 3)})"
    hd95 = f"HD95 {number(once.hd95_mm.median(), 1)} mm ({_ends(once.hd95_mm, 1)})"
    volume = f"volume {number(once.volume_error_ml.median(), 1, True)} ml"
    drawn_by = once.annotator[once.annotator != ""].nunique()
    people = f", drawn by {_count(drawn_by, 'annotator')}" if drawn_by else ""
    return (
        f"{source or 'Noisy labels'}; against the reference of the same {_count(len(once), 'training case')}, on the "
        f"training grid: {dice}, {hd95}, {volume}{people}."
    )


def network(config: Mapping[str, Any]) -> str:
    """The network and the preprocessing."""
    name, target = _setting(config, "model.name"), _setting(config, "model.network._target_")
    spacing = _setting(config, "preprocessing.spacing_mm")
    low, high = _setting(config, "hu_window.low"), _setting(config, "hu_window.high")
    sentences = []
    if name:
        built = {knob: _setting(config, f"model.network.{knob}") for knob in KNOBS}
        told = [f"{knob} {value}" for knob, value in built.items() if value is not None]
        inside = "; ".join(filter(None, [f"`{target}`" if target else "", ", ".join(told)]))
        sentences.append(f"Network: {name}" + (f" ({inside})." if inside else "."))
    if spacing:
        sentences.append(f"CTs were resampled to {' x '.join(f'{s:g}' for s in spacing)} mm.")
    if low is not None and high is not None:
        sentences.append(f"HU were clipped to {low:g} to {high:g} and scaled to [-1, 1].")
    return " ".join(sentences)


def training(config: Mapping[str, Any]) -> str:
    """Method, steps, batches, patches, optimiser."""
    method = _setting(config, "method.name")
    loss = _setting(config, "loss._target_") or _setting(config, "method.loss._target_")  # older studies: the latter
    steps, batch = _setting(config, "steps"), _setting(config, "batch_size")
    patch, foreground = _setting(config, "patches.patch_size"), _setting(config, "patches.foreground_share")
    optimizer, rate = _setting(config, "optimizer._target_"), _setting(config, "optimizer.lr")
    decay, warmup = _setting(config, "optimizer.weight_decay"), _setting(config, "segmenter.warmup_steps")
    told = [
        f"method {method}" if method else "",
        f"loss `{loss}`" if loss else "",
        f"{steps} steps" if steps else "",
        f"batches of {batch}" if batch else "",
        f"patches of {' x '.join(map(str, patch))} voxels" if patch else "",
        f"{foreground:.0%} of them centred near the noisy label" if foreground is not None else "",
        f"`{optimizer}` with learning rate {rate:g}" if optimizer and rate is not None else "",
        f"weight decay {decay:g}" if decay is not None else "",
        f"{warmup} steps of warm-up, then half a cosine" if warmup is not None else "",
    ]
    words = ", ".join(filter(None, told))
    return f"Training: {words}." if words else ""


def testing(config: Mapping[str, Any]) -> str:
    """Which weights were tested and how."""
    checkpoint = _setting(config, "evaluation.checkpoint")
    window, overlap = _setting(config, "sliding_window.patch_size"), _setting(config, "sliding_window.overlap")
    piece = _setting(config, "evaluation.smallest_piece")
    weights = {"last": "the last weights", "best": "the weights with the highest validation Dice (reference labels)"}
    told = [
        f"{weights.get(checkpoint, checkpoint)} were tested" if checkpoint else "",
        f"in windows of {' x '.join(map(str, window))} voxels" if window else "",
        f"overlapping by {overlap:.0%}" if overlap is not None else "",
        f"pieces below {piece:.0%} of the largest were dropped" if piece is not None else "",
        "masks were scored on the CT's own grid",
    ]
    words = ", ".join(filter(None, told))
    return words[0].upper() + words[1:] + "." if checkpoint else ""


def statistics(analysis: Analysis, study: Study) -> str:
    """How the numbers were made, where the primary metric and the margins come from, and what could be detected."""
    metric = metric_named(analysis.primary)
    origin = "declared in the configuration before the runs" if study.declaration.is_declared else "the defaults"
    sources = [
        f"{m.label} {margin:g} {m.unit}".strip() + f" ({analysis.margins.source(m)})"
        for m in METRICS
        if (margin := analysis.margins.of(m)) is not None
    ]
    compared = [row for row in analysis.differences if (row.metric, row.group) == (metric.column, "")]
    return (
        f"Statistics: {state_methods(analysis)} The primary metric and the margins were {origin}; sources of the "
        f"margins: {'; '.join(sources)}.{_detectable(compared, metric.decimals)}"
    )


def _detectable(rows: Sequence[Difference], decimals: int) -> str:
    found = [row.detectable for row in rows if row.detectable is not None]
    if not found:
        return ""
    low, high = number(min(found), decimals), number(max(found), decimals)
    span = low if low == high else f"{low} to {high}"
    return f" The smallest true difference that this design finds with 80 % power: {span}."


def software(study: Study) -> str:
    """Versions and devices."""
    told = ", ".join(f"{name} {version}" for name, version in versions(study).items())
    done = study.ledger[study.ledger.state == "done"]
    devices = ", ".join(sorted({str(device) for device in done.device.dropna()}))
    precision = ", ".join(sorted({str(name) for name in done.precision.dropna()}))
    ran_on = f" Runs were made on {devices}{f' in {precision}' if precision else ''}." if devices else ""
    return f"Software: {told}.{ran_on}" if told else ran_on.strip()


def _setting(config: Any, path: str) -> Any:
    """A nested setting; None where the config has none."""
    for key in path.split("."):
        if not isinstance(config, Mapping) or key not in config:
            return None
        config = config[key]
    return config


def _range(values: Any) -> str:
    whole = sorted({int(value) for value in values})
    return "no" if not whole else str(whole[0]) if len(whole) == 1 else f"{whole[0]} to {whole[-1]}"


def _ends(values: "pd.Series[float]", decimals: int) -> str:
    return f"{number(values.min(), decimals)} to {number(values.max(), decimals)}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return "" if not names else names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
