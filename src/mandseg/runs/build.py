"""Makes the objects of a config: the method, its stages, the predictor, a stage's module, data and callbacks."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf

from mandseg.data.cache import PreparedCase
from mandseg.evaluation.activations import fitted
from mandseg.evaluation.predictor import Predictor
from mandseg.evaluation.sliding_window import AUTO, SlidingWindow
from mandseg.noise.label_plan import LabelPlan
from mandseg.runs.settings.granularity import granularity, takes_any_window
from mandseg.system.errors import UserError
from mandseg.system.expectations import shown
from mandseg.system.instantiation import make
from mandseg.tracking.settings import TrackingSettings
from mandseg.training.compatibility import refuse_incompatible, refuse_unfit_augmentation
from mandseg.training.dynamics import TrainingDynamics
from mandseg.training.fit import refuse_unknown
from mandseg.training.loading.datamodule import PatchDataModule, ValidationDataset
from mandseg.training.loading.patches import PatchDataset
from mandseg.training.losses.loss import Loss
from mandseg.training.memorisation import Memorisation, WatchedCases
from mandseg.training.methods.method import Method
from mandseg.training.module import Segmenter
from mandseg.training.networks import NetworkFactory
from mandseg.training.stages import Span, Stage, check_stages, plan_of_stage, spans

NOT_OF_THE_METHOD = {"name", "stages"}  # keys of conf/method that are not arguments of its constructor


OF_THE_OBJECTS = (
    *("model", "method", "loss", "optimizer", "patches", "batch_size", "segmenter", "sliding_window", "hu_window"),
    *("preprocessing", "noise", "tracking", "trainer", "trusted_packages", "steps", "validations", "clean_budget"),
)
"""The settings from which the objects of a run are made, without its data."""
NONE_TRUSTED = LabelPlan({}, ())
"""Only a clean budget makes labels trusted."""


def made(cfg: DictConfig, name: str, **arguments: Any) -> Any:
    """The object of a node of the config.

    Raises:
        UserError: Its package is not trusted, or it cannot be made.
    """
    return make(OmegaConf.select(cfg, name), name, cfg.trusted_packages, **arguments)


def build_method(cfg: DictConfig, untrained: bool = True) -> Method:
    """The method with its networks and its loss; its weights follow from the seed.

    Args:
        cfg: The run's config.
        untrained: Whether the output layers start at the prior; False if the weights are replaced at once.

    Raises:
        UserError: ``method._target_`` is no Method, its package is not trusted, or it cannot be made.
    """
    prior = cfg.segmenter.foreground_prior if untrained else None
    shape = (cfg.batch_size, 1, *cfg.patches.patch_size)
    make_network = NetworkFactory(lambda: made(cfg, "model.network", _convert_="all"), cfg.seed, prior, shape)
    settings = _without(cfg.method, NOT_OF_THE_METHOD)
    parts = {"make_network": make_network, "loss": build_loss(cfg)}
    method = make(settings, "method", cfg.trusted_packages, _convert_="all", **parts)
    if not isinstance(method, Method):
        raise UserError(f"method._target_={cfg.method._target_}: expected a subclass of {Method.__module__}.Method")
    return method


def build_loss(cfg: DictConfig) -> Loss:
    """The loss of logits against labels."""
    loss: Loss = make(_without(cfg.loss, {"name"}), "loss", cfg.trusted_packages)
    return loss


def refuse_unfit(cfg: DictConfig) -> None:
    """Refuse stages, a network or patches that cannot work, before any data is read; once for equal settings.

    The state of the random numbers does not change. The run's own objects are made later, from its seed.

    Raises:
        UserError: One line.
    """
    settings = OmegaConf.create({name: _plain(cfg[name]) for name in OF_THE_OBJECTS} | {"seed": 0})
    _refuse_unfit(OmegaConf.to_yaml(settings))


@cache
def _refuse_unfit(settings: str) -> None:
    cfg = cast(DictConfig, OmegaConf.create(settings))
    refuse_unknown(cfg.trainer)
    stages = build_stages(cfg)
    span = spans(stages, cfg.steps, cfg.validations)[0]
    with torch.random.fork_rng(devices=[]):
        segmenter = build_segmenter(cfg, build_method(cfg, untrained=False), span)
        refuse_incompatible(segmenter, build_loss(cfg), cfg.model.name, cfg.batch_size, cfg.patches.patch_size)
    if not cfg.clean_budget:
        segmenter.method.check(NONE_TRUSTED)
        for stage in stages:
            plan_of_stage(replace(stage, fold=None), NONE_TRUSTED, (), seed=0)
    refuse_unfit_augmentation(made(cfg, "patches", _convert_="all")["augmentation"], cfg.patches.patch_size)
    for name in ("hu_window", "preprocessing", "noise.source"):
        made(cfg, name, _convert_="all")
    if not isinstance(made(cfg, "tracking", _convert_="all"), TrackingSettings):
        wanted = f"{TrackingSettings.__module__}.{TrackingSettings.__qualname__}"
        raise UserError(f"tracking._target_={cfg.tracking._target_}: expected {wanted}")


def build_stages(cfg: DictConfig) -> list[Stage]:
    """The stages of the method.

    Raises:
        UserError: A key that no stage has, or stages that cannot form a training.
    """
    known = [field.name for field in fields(Stage)]
    stages: list[Stage] = []
    nodes = _plain(cfg.method.stages)
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise UserError(f"method.stages={shown(nodes)}: expected a list of stages, e.g. [{{name: train, share: 1}}]")
    for node in nodes:
        if unknown := sorted(set(node) - set(known)):
            raise UserError(f"method.stages: unknown key {unknown[0]!r}, expected some of {', '.join(known)}")
        if missing := [key for key in ("name", "share") if key not in node]:
            raise UserError(f"method.stages: a stage without {missing[0]}")
        settings = {**node, "_target_": f"{Stage.__module__}.{Stage.__qualname__}"}
        stages.append(make(settings, f"method.stages.{len(stages)}", cfg.trusted_packages, _convert_="all"))
    check_stages(stages)
    return stages


def build_predictor(cfg: DictConfig, method: Method, device: torch.device, precision: str = "32-true") -> Predictor:
    """The method's prediction for whole volumes.

    Args:
        cfg: The run's config.
        method: The method with its networks.
        device: Where it is.
        precision: The arithmetic of the prediction, by Lightning's names; inside a training Lightning sets it.
    """
    return Predictor(
        method,
        made(cfg, "preprocessing", _convert_="all"),
        made(cfg, "hu_window"),
        build_sliding_window(cfg, method),
        device,
        precision,
    )


def build_sliding_window(cfg: DictConfig, method: Method) -> SlidingWindow:
    """The windows of a prediction; of size ``auto`` for a network that takes any, else those of the training."""
    window: SlidingWindow = made(cfg, "sliding_window", _convert_="all")
    if not isinstance(window, SlidingWindow) or window.patch_size != AUTO:
        return window
    network = cast(dict[str, Any], OmegaConf.to_container(cfg.model.network, resolve=True))
    patch_size = list(cfg.patches.patch_size)
    if not takes_any_window(network):
        return replace(window, patch_size=patch_size)
    return fitted(window, method, granularity(network), patch_size)


def build_segmenter(cfg: DictConfig, method: Method, span: Span) -> Segmenter:
    """The method with its optimiser and schedule over the steps of a stage."""
    return Segmenter(
        method,
        build_predictor(cfg, method, torch.device("cpu")),
        made(cfg, "optimizer"),
        span.steps,
        cfg.segmenter.warmup_steps,
        cfg.segmenter.final_lr_share,
        cfg.seed,
        span.first_step,
    )


def build_data(
    cfg: DictConfig,
    training: Sequence[PreparedCase],
    validation: Sequence[PreparedCase],
    plan: LabelPlan,
    span: Span,
) -> PatchDataModule:
    """Training patches by step, with the labels of a stage, and whole validation volumes."""
    window = made(cfg, "hu_window")
    patches = made(cfg, "patches", _convert_="all")
    return PatchDataModule(
        PatchDataset(training, plan, cfg.seed, window=window, **patches),
        ValidationDataset(validation, window),
        cfg.batch_size,
        span.steps_per_epoch,
        cfg.num_workers,
        span.first_step,
    )


def build_memorisation(cfg: DictConfig, watched: WatchedCases, predictor: Predictor, span: Span) -> Memorisation:
    """The callback that measures memorisation on some training cases, in one window or in windows of a patch's size."""
    patch_size = list(cfg.patches.patch_size)
    return Memorisation(
        watched, _of_boxes(predictor, patch_size), cfg.memorisation, cfg.steps, patch_size, span.first_step
    )


def build_dynamics(
    cfg: DictConfig, training: Sequence[PreparedCase], plan: LabelPlan, predictor: Predictor, span: Span, file: Path
) -> TrainingDynamics:
    """The callback that records all training cases of a stage against their labels, in windows as for memorisation."""
    patch_size = list(cfg.patches.patch_size)
    of_boxes = _of_boxes(predictor, patch_size)
    return TrainingDynamics(training, plan, of_boxes, cfg.dynamics, cfg.steps, patch_size, file, span.first_step)


def _of_boxes(predictor: Predictor, patch_size: list[int]) -> Predictor:
    """The predictor of a part of a volume: in one window, or in windows of a patch's size."""
    window = predictor.sliding_window
    if window.patch_size == AUTO:
        return predictor
    return replace(predictor, sliding_window=replace(window, patch_size=patch_size))


def _without(node: DictConfig, keys: set[str]) -> Mapping[str, Any]:
    return {key: value for key, value in _plain(node).items() if key not in keys}


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
