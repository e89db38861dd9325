"""The labels of a run: the first plan from its config, and the plans that its stages make."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig

from mandseg.data.cache import PreparedCase
from mandseg.data.splits import fold_of_cases
from mandseg.evaluation.predictor import Predictor, out_of_fold
from mandseg.noise.clean_budget import with_clean_budget
from mandseg.noise.label_plan import LabelPlan, plan_noise
from mandseg.runs.build import build_predictor
from mandseg.runs.ownership import OwnedRun, ReadOnlyRun
from mandseg.runs.trained.load import load_method
from mandseg.system.distributed import gather_objects
from mandseg.training.precision import device_kind, prediction_precision
from mandseg.training.stages import Stage, needs_network, read_plan, relabel_stage


@dataclass(frozen=True)
class TrainedStage:
    """A stage that is done, and the checkpoint with its weights."""

    stage: Stage
    weights: Path


def first_labels(cfg: DictConfig, training: Sequence[PreparedCase]) -> LabelPlan:
    """The labels of the training cases before any stage: the noise plan with the clean budget.

    Raises:
        UserError: The budget is too large, or the ranking lacks a case.
    """
    plan = plan_noise({p.case.case_id: p.annotator for p in training}, cfg.noise_ratio, cfg.seed)
    return with_clean_budget(plan, training, cfg.clean_budget, cfg.ranking, cfg.seed)


def labels_of_stage(
    cfg: DictConfig,
    owned: OwnedRun,
    stage: Stage,
    plan: LabelPlan,
    training: Sequence[PreparedCase],
    done: Sequence[TrainedStage],
) -> LabelPlan:
    """The labels that a stage makes from the networks of the stages before, made once by the run's first process."""
    folder = owned.files.labels(stage.name)
    with owned.phase(f"relabel/{stage.name}"):
        if not isinstance(owned, ReadOnlyRun) and not folder.exists():
            precision = prediction_precision(owned.record["precision"])
            predictor = predictor_of(cfg, training, done, precision) if needs_network(stage) else None
            torch.manual_seed(cfg.seed)  # the same draws whether the stage before was trained now or before a kill
            relabel_stage(stage, training, plan, predictor, folder, owned.check)
        gather_objects(None)  # the other processes wait
    return read_plan(folder, plan.order)


def predictor_of(
    cfg: DictConfig, training: Sequence[PreparedCase], done: Sequence[TrainedStage], precision: str
) -> Predictor:
    """The prediction at the end of the last stage; of stages with folds, the predictions of all folds."""
    fold = done[-1].stage.fold
    device = evaluation_device(cfg)
    members = [
        build_predictor(cfg, load_method(cfg, trained.weights).to(device).eval(), device, precision)
        for trained in (done[-fold[1] :] if fold else done[-1:])
    ]
    if not fold:
        return members[0]
    return out_of_fold(members, fold_of_cases([prepared.case for prepared in training], fold[1], cfg.seed))


def evaluation_device(cfg: DictConfig) -> torch.device:
    """The device for the prediction of whole volumes outside the training."""
    return torch.device("cpu" if device_kind(cfg.trainer.accelerator) == "cpu" else "cuda")
