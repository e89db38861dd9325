"""The story of one run, top to bottom: a config in, cases.csv in the run folder out; only here is it taken apart."""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf

from mandseg.data.cache import PreparedCase, prepare_cases
from mandseg.data.case import Case
from mandseg.data.sources import EvaluationSets, with_external
from mandseg.evaluation.evaluate import Evaluator, PreparedCases, draw_examples, evaluate, key_of, unique_cases
from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.metrics.catalogue import MEASURED
from mandseg.noise.applied import NOISE_APPLIED, noise_applied
from mandseg.noise.label_plan import NoisePlan, cases_by, plan_noise
from mandseg.runs.claim import Claim, Follower
from mandseg.runs.condition import settings_of
from mandseg.runs.devices import processes_wanted
from mandseg.runs.folder import share_line
from mandseg.runs.origin import TRAINED, Content, changes, content_of_sources
from mandseg.runs.provenance import start_facts
from mandseg.system.distributed import one_process_group
from mandseg.system.errors import UserError
from mandseg.system.files import write_text
from mandseg.system.instantiation import make
from mandseg.system.signals import Interruption
from mandseg.tracking.tracker import Tracker, tracking_run
from mandseg.training.checkpoint import BEST, LAST, LastCheckpoint, RunCheckpointIO
from mandseg.training.compatibility import refuse_misfit
from mandseg.training.datamodule import PatchDataModule, ValidationDataset
from mandseg.training.finite_loss import FiniteLoss
from mandseg.training.fit import fit, load_weights, refuse_unknown, steps_per_epoch
from mandseg.training.learning_curve import LearningCurve
from mandseg.training.libraries import hush_libraries, tune_allocator
from mandseg.training.memorisation import Memorisation, watched_cases
from mandseg.training.module import Segmenter
from mandseg.training.patches import PatchDataset
from mandseg.training.precision import choose_precision, device_kind, device_name
from mandseg.training.validation_overlay import ValidationOverlay

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedRun:
    """The prepared cases of a run, the noise plan of its training cases, and the data sets to test on."""

    training: Sequence[PreparedCase]
    validation: Sequence[PreparedCase]
    testing: PreparedCases
    plan: NoisePlan
    sets: EvaluationSets
    content: Content

    @property
    def digest(self) -> str:
        """A short hash of the content of every training image and label, and of how they were prepared."""
        entries = sorted(f"{p.folder.name}/{p.noisy_file.name if p.noisy_file else ''}" for p in self.training)
        return hashlib.sha256("\n".join(entries).encode()).hexdigest()[:12]


@one_process_group()
def run(cfg: DictConfig, claim: Claim, interruption: Interruption) -> None:
    """Train one network on its noise plan and test it on every data set; goes on where an earlier try stopped.

    On several devices each process of the run calls this; the first one has the claim, the others are followers.

    Raises:
        UserError: Something is wrong with the input.
        Interrupted: A signal asked to stop; the next start goes on from the checkpoint.
    """
    write_text(claim.folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    claim.update(**start_facts(), steps=cfg.steps)
    tune_allocator()
    hush_libraries()
    refuse_unfit(cfg)
    with claim.phase("prepare"):
        prepared = prepare(cfg)
        refuse_another_cohort(claim, prepared)
        claim.update(cohort=prepared.digest, content=prepared.content, settings=settings_of(cfg))
        warn_of_share(prepared.plan)
        claim.update(n_noisy=len(prepared.plan.noisy), n_training=len(prepared.plan.annotators))
        prepared.plan.write(claim.folder / "noise_plan.csv")
        applied = noise_applied(prepared.training, prepared.plan)
        write_text(claim.folder / NOISE_APPLIED, applied.to_csv(index=False))
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    segmenter = build_segmenter(cfg)
    batch_shape = (cfg.batch_size, 1, *cfg.patches.patch_size)
    precision = claim.record.get("precision") or choose_precision(
        cfg.trainer.precision, cfg.trainer.accelerator, segmenter.network, batch_shape, Path(cfg.cache_dir)
    )
    claim.update(precision=precision, device=device_name(cfg.trainer.accelerator), noise_plan=prepared.plan.digest)
    settings = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    settings["evaluation"].pop("shared_subjects")
    study, name, condition = cfg.study, claim.folder.name, claim.record["condition"]
    curve = LearningCurve(claim.folder / "learning_curve.csv")
    with tracking_run(made(cfg, "tracking"), claim.folder, study, name, condition, settings, curve) as tracker:
        with claim.phase("train"):
            data = build_data(cfg, prepared)
            overlay = ValidationOverlay(prepared.validation[0], claim.folder / "overlays", tracker.log_overlays)
            finite = FiniteLoss([p.case.case_id for p in prepared.training])
            callbacks = [finite, overlay, build_memorisation(cfg, prepared)]
            size = processes_wanted(cfg.trainer)
            files = RunCheckpointIO({**condition, "cohort": prepared.digest})
            folder = claim.folder / "checkpoints"
            last = LastCheckpoint(folder, data.steps_per_epoch, cfg.checkpoint_minutes, interruption, claim.check)
            trainer = settings["trainer"] | {"trusted_packages": cfg.trusted_packages}
            fit(segmenter, data, trainer, precision, size, files, last, tracker.loggers, callbacks)
        with claim.phase("evaluate"):
            test(cfg, claim, segmenter, prepared, tracker)


def made(cfg: DictConfig, name: str, **arguments: Any) -> Any:
    """The object of a node of the config.

    Raises:
        UserError: It is not to be trusted, or cannot be made.
    """
    return make(OmegaConf.select(cfg, name), name, cfg.trusted_packages, **arguments)


def prepare(cfg: DictConfig) -> PreparedRun:
    """Find or make the cohorts and the preprocessed cases, and draw the noise plan."""
    sources = with_external(made(cfg, "data.source"), cfg.eval, cfg.evaluation.shared_subjects)
    preprocessing, noise = made(cfg, "preprocessing", _convert_="all"), made(cfg, "noise.source")
    cache = Path(cfg.cache_dir) / "cases"

    def clean(cases: Sequence[Case]) -> list[PreparedCase]:
        return prepare_cases(cases, preprocessing, cache)

    chosen = cases_by(sources.training.split("train"), noise, cfg.noise.annotators, cfg.noise.leave_out)
    training = prepare_cases(chosen, preprocessing, cache, noise)
    plan = plan_noise({p.case.case_id: p.annotator for p in training}, cfg.noise_ratio, cfg.seed)
    testing = {key_of(p.case): p for p in clean(unique_cases(sources.evaluation))}
    validation = clean(sources.training.split("val"))
    refuse_missing_labels(training, validation, plan)
    return PreparedRun(training, validation, testing, plan, sources.evaluation, content_of_sources(sources, cfg))


def refuse_missing_labels(
    training: Sequence[PreparedCase], validation: Sequence[PreparedCase], plan: NoisePlan
) -> None:
    """Refuse a run whose noise plan or validation asks for labels that are not there, before it trains.

    Raises:
        UserError: One line for each such case.
    """
    noisy = [p for p in training if p.case.case_id in plan.noisy]
    clean = [p for p in training if p.case.case_id not in plan.noisy]
    problems = [
        f"case {p.case.case_id}: to be trained on its noisy label, and it has none" for p in noisy if not p.noisy_file
    ]
    problems += [
        f"case {p.case.case_id}: to be trained on its reference, and it has none"
        for p in clean
        if p.case.reference is None
    ]
    problems += [
        f"case {p.case.case_id}: validation needs a reference, and it has none"
        for p in validation
        if p.case.reference is None
    ]
    if problems:
        raise UserError(problems)


def warn_of_share(plan: NoisePlan) -> None:
    """Say where the share of noisy cases cannot be near the ratio that is asked for."""
    if line := share_line(plan.ratio, len(plan.noisy), len(plan.annotators)):
        log.warning("%s", line)


def refuse_another_cohort(claim: Claim, prepared: PreparedRun) -> None:
    """Refuse to go on with a run that was begun on other images or labels.

    Raises:
        UserError: The digests in run.json are others.
    """
    where = f"run {claim.folder.name}: begun on other images or labels"
    if differing := changes(claim.record.get("content") or {}, prepared.content, TRAINED):
        ways = "rerun=true begins it anew and keeps the old folder, or choose another study="
        raise UserError(f"{where} ({'; '.join(differing)}); {ways}")
    begun = claim.record.get("cohort", prepared.digest)
    if begun != prepared.digest:
        ways = "choose another study= or remove the folder"
        raise UserError(f"{where} (digest {begun}, now {prepared.digest}); {ways}")


def build_segmenter(cfg: DictConfig) -> Segmenter:
    """The network with its loss, optimiser and schedule; its weights follow from the seed."""
    return Segmenter(
        network=made(cfg, "model.network", _convert_="all"),
        loss=made(cfg, "method.loss"),
        optimizer=made(cfg, "optimizer"),
        sliding_window=made(cfg, "sliding_window", _convert_="all"),
        steps=cfg.steps,
        seed=cfg.seed,
        **cfg.segmenter,
    )


def refuse_unfit(cfg: DictConfig) -> None:
    """Refuse what the config alone tells to be impossible, before any data is read: network, optimiser and patches.

    Nothing random is used up: the run's own objects are made later, from its seed.

    Raises:
        UserError: One line.
    """
    refuse_unknown(cfg.trainer)
    with torch.random.fork_rng(devices=[]):
        refuse_misfit(build_segmenter(cfg), cfg.model.name, cfg.batch_size, cfg.patches.patch_size)
    for name in ("hu_window", "patches", "preprocessing", "noise.source", "tracking"):
        made(cfg, name, _convert_="all")


def build_data(cfg: DictConfig, prepared: PreparedRun) -> PatchDataModule:
    """Training patches by step and whole validation volumes."""
    window = made(cfg, "hu_window")
    patches = made(cfg, "patches", _convert_="all")
    return PatchDataModule(
        PatchDataset(prepared.training, prepared.plan, cfg.seed, window=window, **patches),
        ValidationDataset(prepared.validation, window),
        cfg.batch_size,
        steps_per_epoch(cfg.steps, cfg.validations),
        cfg.num_workers,
    )


def build_memorisation(cfg: DictConfig, prepared: PreparedRun) -> Memorisation:
    """What measures memorisation on some training cases, in windows of the training patch's size."""
    sliding_window: SlidingWindow = made(cfg, "sliding_window", _convert_="all")
    return Memorisation(
        watched_cases(prepared.training, prepared.plan),
        made(cfg, "hu_window"),
        replace(sliding_window, patch_size=list(cfg.patches.patch_size)),
        cfg.memorisation,
        cfg.steps,
    )


def test(cfg: DictConfig, claim: Claim, segmenter: Segmenter, prepared: PreparedRun, tracker: Tracker) -> None:
    """Score the trained network on every data set and write cases.csv, the last file of a run."""
    checkpoint = {"last": LAST, "best": BEST}[cfg.evaluation.checkpoint]
    load_weights(segmenter, claim.folder / "checkpoints" / checkpoint)
    device = torch.device("cpu" if device_kind(cfg.trainer.accelerator) == "cpu" else "cuda")
    with predictions_folder(claim, cfg.evaluation.save_predictions) as predictions:
        evaluator = Evaluator(
            segmenter.to(device).eval(),
            made(cfg, "sliding_window", _convert_="all"),
            made(cfg, "hu_window"),
            cfg.evaluation.smallest_piece,
            device,
            predictions,
        )
        columns = {"run": claim.folder.name, **claim.record["condition"]}
        cases = evaluate(evaluator, prepared.sets, prepared.testing, columns)
        if isinstance(claim, Follower):
            return
        pictures = draw_examples(evaluator, cases, prepared.sets, prepared.testing, claim.folder / "overlays")
    tracker.log_overlays(cfg.steps, pictures)
    tracker.log_results(
        cases[["dataset", "case_id", "outcome", *MEASURED, "seconds"]]
    )  # nothing else of a manifest leaves
    claim.check()
    write_text(claim.folder / "cases.csv", cases.to_csv(index=False))


@contextmanager
def predictions_folder(claim: Claim, keep: bool) -> Iterator[Path]:
    """Where the processes of a run put predicted masks: a folder that stays, or one that the first process removes."""
    folder = claim.folder / ("predictions" if keep else ".predictions")
    try:
        yield folder
    finally:
        if not keep and not isinstance(claim, Follower):
            shutil.rmtree(folder, ignore_errors=True)
