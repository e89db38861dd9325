"""Runs one condition: reads the config, trains, tests and writes cases.csv."""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning as L
from omegaconf import DictConfig, OmegaConf

from mandseg.data.cache import PreparedCase, prepare_cases
from mandseg.data.case import Case
from mandseg.data.same_patient.leaks import refuse_same_patients
from mandseg.data.sources import EvaluationSets, with_external
from mandseg.data.structure import refuse_other_structures
from mandseg.evaluation.evaluate import Evaluator, PreparedCases, draw_examples, evaluate, key_of, unique_cases
from mandseg.metrics.catalogue import MEASURED
from mandseg.noise.applied import noise_applied
from mandseg.noise.label_plan import LabelPlan, cases_of_annotators
from mandseg.runs.build import (
    build_data,
    build_dynamics,
    build_memorisation,
    build_method,
    build_predictor,
    build_segmenter,
    build_stages,
    made,
    refuse_unfit,
)
from mandseg.runs.condition import earliest, settings_of
from mandseg.runs.ddp.devices import processes_wanted
from mandseg.runs.folder import share_line
from mandseg.runs.labels import TrainedStage, evaluation_device, first_labels, labels_of_stage
from mandseg.runs.origin import TRAINED, Content, changes, content_of_sources
from mandseg.runs.ownership import OwnedRun, ReadOnlyRun
from mandseg.runs.progress import logged_steps
from mandseg.runs.provenance import start_facts
from mandseg.runs.trained.load import CHECKPOINT_FILES, last_stage, load_method
from mandseg.runs.trained.network_record import network_record
from mandseg.runs.trained.training_summary import summarise_training
from mandseg.system.distributed import process_group
from mandseg.system.errors import UserError
from mandseg.system.files import write_text
from mandseg.system.signals import Interruption
from mandseg.tracking.tracker import Tracker, tracking_run
from mandseg.training.checkpoint import LAST, LastCheckpoint, RunCheckpointIO
from mandseg.training.finite_loss import FiniteLoss
from mandseg.training.first_step import FirstStep
from mandseg.training.fit import fit
from mandseg.training.learning_curve import LearningCurve
from mandseg.training.libraries import silence_libraries, tune_malloc
from mandseg.training.memorisation import watched_cases
from mandseg.training.precision import choose_precision, device_name, prediction_precision
from mandseg.training.stages import Stage, plan_of_stage, spans
from mandseg.training.validation_overlay import ValidationOverlay

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedRun:
    """The prepared cases of a run, the noise plan of its training cases, and the data sets of the test."""

    training: Sequence[PreparedCase]
    validation: Sequence[PreparedCase]
    testing: PreparedCases
    plan: LabelPlan
    sets: EvaluationSets
    content: Content

    @property
    def digest(self) -> str:
        """A short hash of the content of all training images and labels, and of their preprocessing."""
        entries = sorted(f"{p.folder.name}/{p.noisy_file.name if p.noisy_file else ''}" for p in self.training)
        return hashlib.sha256("\n".join(entries).encode()).hexdigest()[:12]


@process_group()
def run(cfg: DictConfig, owned: OwnedRun, interruption: Interruption) -> None:
    """Train one network on its noise plan and test it on every data set; continue where an earlier attempt stopped.

    On several devices, each process of the run calls this. The first one owns the run; the others only read.

    Raises:
        UserError: Something is wrong with the input.
        Interrupted: A signal asked to stop; the next start continues from the checkpoint.
    """
    write_text(owned.files.config_file, OmegaConf.to_yaml(cfg, resolve=True))
    owned.update(**start_facts(), steps=cfg.steps, analysis=OmegaConf.to_container(cfg.analysis, resolve=True))
    tune_malloc()
    silence_libraries()
    refuse_unfit(cfg)
    stages = build_stages(cfg)
    with owned.phase("prepare"):
        prepared = prepare(cfg)
        refuse_another_cohort(owned, prepared)
        owned.update(cohort=prepared.digest, content=prepared.content, settings=settings_of(cfg))
        warn_of_share(prepared.plan, cfg.noise_ratio)
        owned.update(n_noisy=len(prepared.plan.noisy), n_training=len(prepared.plan.labels))
        prepared.plan.write(owned.files.plan_file)
        applied = noise_applied(prepared.training, prepared.plan)
        write_text(owned.files.applied_file, applied.to_csv(index=False))
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    precision = owned.record.get("precision") or measured_precision(cfg)
    owned.update(precision=precision, device=device_name(cfg.trainer.accelerator), noise_plan=prepared.plan.digest)
    settings = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    settings["evaluation"].pop("shared_subjects")
    study, name, condition = cfg.study, owned.folder.name, owned.record["condition"]
    curve = LearningCurve(owned.files.curve_file)
    with tracking_run(made(cfg, "tracking"), owned.folder, study, name, condition, settings, curve) as tracker:
        train(cfg, owned, interruption, stages, prepared, tracker)
        with owned.phase("evaluate"):
            test(cfg, owned, prepared, tracker)


def train(
    cfg: DictConfig,
    owned: OwnedRun,
    interruption: Interruption,
    stages: Sequence[Stage],
    prepared: PreparedRun,
    tracker: Tracker,
) -> None:
    """Train stage by stage. Lightning returns at once from a stage that is done."""
    plan, done = prepared.plan, list[TrainedStage]()
    tested = prediction_precision(owned.record["precision"])
    summary = summarise_training(prepared.training, plan)
    watched = watched_cases(prepared.training, plan)
    for stage, span in zip(stages, spans(stages, cfg.steps, cfg.validations), strict=True):
        if stage.relabel is not None:
            plan = labels_of_stage(cfg, owned, stage, plan, prepared.training, done)
            summary = summarise_training(prepared.training, plan)
        trained = plan_of_stage(stage, plan, [p.case for p in prepared.training], cfg.seed)
        folder = owned.files.checkpoints(stage.name)
        with owned.phase(f"train/{stage.name}"):
            goes_on = done and stage.start == "former"
            method = load_method(cfg, done[-1].weights) if goes_on else build_method(cfg)
            method.check(trained)
            segmenter = build_segmenter(cfg, method, span)
            data = build_data(cfg, prepared.training, prepared.validation, trained, span)
            callbacks = [
                FirstStep(partial(began_at, owned), span.first_step),
                FiniteLoss([p.case.case_id for p in prepared.training]),
                ValidationOverlay(prepared.validation[0], owned.files.overlays, tracker.log_overlays, span.first_step),
                build_memorisation(cfg, watched, segmenter.predictor, span),
                build_dynamics(cfg, prepared.training, trained, segmenter.predictor, span, owned.files.dynamics_file),
            ]
            mark = {**earliest(owned.record["condition"]), "cohort": prepared.digest, "labels": trained.digest}
            last = LastCheckpoint(folder, span.steps_per_epoch, cfg.checkpoint_minutes, interruption, owned.check)
            trainer = cast(dict[str, Any], OmegaConf.to_container(cfg.trainer, resolve=True))
            trainer["trusted_packages"] = cfg.trusted_packages
            size, precision = processes_wanted(cfg.trainer), owned.record["precision"]
            network = network_record(cfg, owned.record["condition"], tested, summary)
            checkpoints = RunCheckpointIO(mark, network)
            fit(segmenter, data, trainer, precision, size, checkpoints, last, tracker.loggers, callbacks)
        done.append(TrainedStage(stage, folder / LAST))


def began_at(owned: OwnedRun, step: int) -> None:
    """Record where this process began to train: the steps done before it, and those in the learning curve."""
    owned.update(began={"step": step, "logged": logged_steps(owned.files)})


def measured_precision(cfg: DictConfig) -> str:
    """The arithmetic of the run; with precision=auto, a trial of its first network decides."""
    batch_shape = (cfg.batch_size, 1, *cfg.patches.patch_size)
    network = build_method(cfg, untrained=False).networks[0]
    wanted, accelerator = cfg.trainer.precision, cfg.trainer.accelerator
    return choose_precision(wanted, accelerator, network, batch_shape, Path(cfg.cache_dir))


def prepare(cfg: DictConfig) -> PreparedRun:
    """Find or make the cohorts and the preprocessed cases, and draw the noise plan."""
    sources = with_external(made(cfg, "data.source"), cfg.eval, cfg.evaluation.shared_subjects)
    tested = unique_cases(sources.evaluation)
    refuse_other_structures([*sources.training.cases, *tested], cfg.structure)
    preprocessing, noise = made(cfg, "preprocessing", _convert_="all"), made(cfg, "noise.source")
    cache = Path(cfg.cache_dir) / "cases"

    def clean(cases: Sequence[Case]) -> list[PreparedCase]:
        return prepare_cases(cases, preprocessing, cache)

    chosen = cases_of_annotators(sources.training.split("train"), noise, cfg.noise.annotators, cfg.noise.leave_out)
    training = prepare_cases(chosen, preprocessing, cache, noise)
    plan = first_labels(cfg, training)
    testing = {key_of(p.case): p for p in clean(tested)}
    validation = clean(sources.training.split("val"))
    refuse_missing_labels(training, validation, plan)
    for stage in build_stages(cfg):
        plan_of_stage(stage, plan, chosen, cfg.seed)  # refuses a stage without a case before anything is trained
    refuse_same_patients([*training, *validation], list(testing.values()), cfg.evaluation.shared_subjects)
    return PreparedRun(training, validation, testing, plan, sources.evaluation, content_of_sources(sources, cfg))


def refuse_missing_labels(
    training: Sequence[PreparedCase], validation: Sequence[PreparedCase], plan: LabelPlan
) -> None:
    """Refuse a run whose noise plan or validation needs missing labels, before the training.

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


def warn_of_share(plan: LabelPlan, ratio: float) -> None:
    """Warn if the share of noisy cases cannot be near the requested ratio."""
    line = share_line(ratio, len(plan.noisy), len(plan.labels))
    if line and not plan.trusted:  # a clean budget takes noisy cases away
        log.warning("%s", line)


def refuse_another_cohort(owned: OwnedRun, prepared: PreparedRun) -> None:
    """Refuse to resume a run that was begun on other images or labels.

    Raises:
        UserError: The digests in run.json differ from those of the files.
    """
    where = f"run {owned.folder.name}: begun on other images or labels"
    if differing := changes(owned.record.get("content") or {}, prepared.content, TRAINED):
        ways = "rerun=true repeats it and keeps the old folder, or choose another study="
        raise UserError(f"{where} ({'; '.join(differing)}); {ways}")
    begun = owned.record.get("cohort", prepared.digest)
    if begun != prepared.digest:
        ways = "choose another study= or remove the folder"
        raise UserError(f"{where} (digest {begun}, now {prepared.digest}); {ways}")


def test(cfg: DictConfig, owned: OwnedRun, prepared: PreparedRun, tracker: Tracker) -> None:
    """Score the trained network on every data set and write cases.csv, the last file of a run."""
    method = load_method(cfg, last_stage(owned.folder, cfg) / CHECKPOINT_FILES[cfg.evaluation.checkpoint])
    device = evaluation_device(cfg)
    precision = prediction_precision(owned.record["precision"])
    predictor = build_predictor(cfg, method.to(device).eval(), device, precision)
    owned.update(test_precision=precision)
    with predictions_folder(owned, cfg.evaluation.save_predictions) as predictions:
        evaluator = Evaluator(predictor, cfg.evaluation.smallest_piece, predictions)
        columns = {"run": owned.folder.name, **earliest(owned.record["condition"])}
        cases = evaluate(evaluator, prepared.sets, prepared.testing, columns)
        if isinstance(owned, ReadOnlyRun):
            return
        pictures = draw_examples(evaluator, cases, prepared.sets, prepared.testing, owned.files.overlays)
    tracker.log_overlays(cfg.steps, pictures)
    tracker.log_results(cases[["dataset", "case_id", "outcome", *MEASURED, "seconds"]])  # no other column of a manifest
    owned.check()
    write_text(owned.files.cases_file, cases.to_csv(index=False))


@contextmanager
def predictions_folder(owned: OwnedRun, keep: bool) -> Iterator[Path]:
    """The folder of the predicted masks of all processes; the first process removes it, unless masks are kept."""
    folder = owned.files.predictions(keep)
    try:
        yield folder
    finally:
        if not keep and not isinstance(owned, ReadOnlyRun):
            shutil.rmtree(folder, ignore_errors=True)
