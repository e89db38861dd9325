"""Refuses runs whose manifests cannot be used, before the runs are listed: no image is read."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from mandseg.data.sources import Sources, from_manifest, with_external
from mandseg.data.structure import refuse_other_structures
from mandseg.runs.settings.typed_text import with_text
from mandseg.system.errors import UserError
from mandseg.system.instantiation import make

OWN = "mandseg.data.sources.from_manifest"
RECORDED = ("mandseg.noise.Recorded", "mandseg.noise.recorded.Recorded")


def refuse_manifests(configs: Sequence[DictConfig], is_elsewhere: bool = False) -> None:
    """Refuse runs whose manifest breaks a rule, shows another structure, or lacks the labels of the training.

    Only manifests of this package's data are read, each once. Phantoms and a source of the user's own are left to the
    run.

    Args:
        configs: The configs of the runs.
        is_elsewhere: Whether they run on other machines; then a file that is missing here is left to the run.

    Raises:
        UserError: The lines of the first manifest with problems.
    """
    known: dict[str, Sources] = {}
    for cfg in configs:
        if cfg.data.source.get("_target_") != OWN:
            continue
        manifests = [str(cfg.data.source.manifest), *map(str, cfg.eval.values())]
        if is_elsewhere and not all(Path(manifest).expanduser().exists() for manifest in manifests):
            continue
        source = repr((cfg.data, cfg.eval, cfg.evaluation.shared_subjects))
        if source not in known:
            cohort = from_manifest(cfg.data.source.manifest, cfg.data.source.get("test_sets_by"))
            known[source] = with_external(cohort, cfg.eval, cfg.evaluation.shared_subjects)
        tested = [case for cases in known[source].evaluation.values() for case in cases]
        refuse_other_structures([*known[source].training.cases, *tested], str(cfg.structure))
        _refuse_unrecorded(cfg, known[source])
        _refuse_annotators(cfg, known[source])
        if cfg.clean_budget != 0:
            from mandseg.noise.clean_budget import refuse_budget  # numpy, which other launches do not need

            refuse_budget(cfg.clean_budget, str(cfg.ranking), known[source].training.split("train"))


def _refuse_annotators(cfg: DictConfig, sources: Sources) -> None:
    """Refuse annotators that no training case has.

    Raises:
        UserError: One line.
    """
    noise = with_text(cfg).noise
    if noise.get("annotators") is None and noise.get("leave_out") is None:
        return
    from mandseg.noise.label_plan import cases_of_annotators  # numpy, which other launches do not need

    source = make(noise.source, "noise.source", list(cfg.trusted_packages), _convert_="all")
    cases_of_annotators(sources.training.split("train"), source, noise.annotators, noise.leave_out)


def _refuse_unrecorded(cfg: DictConfig, sources: Sources) -> None:
    """Refuse recorded noise where no training case has a noisy label.

    Raises:
        UserError: One line.
    """
    if cfg.noise.source.get("_target_") not in RECORDED or cfg.noise_ratio == 0:
        return
    training = sources.training.split("train")
    if not any(case.noisy for case in training):
        raise UserError(
            f"noise=recorded: none of the {len(training)} training cases of {cfg.data.source.manifest} has a noisy "
            "label; noise=planning simulates them"
        )
