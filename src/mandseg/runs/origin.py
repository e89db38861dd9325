"""The input of a run: digests of the images and labels of each of its sets, and their later changes."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mandseg.data.case import Case
from mandseg.data.content import cohort_digests
from mandseg.data.sources import Sources, with_external
from mandseg.system.errors import user_error_behind

log = logging.getLogger(__name__)

TRAINING, VALIDATION = "training", "validation"
TRAINED = (TRAINING, VALIDATION)
"""The sets that a training uses; all others are data sets of the test."""

Content = dict[str, dict[str, str]]
"""Set -> kind of file (``images``, ``references``, ``noisy``) -> 12 hex digits; empty if there is no such file."""


def content_of(cfg: DictConfig) -> Content:
    """The digests of the present files of a config's sets. Digests of files are cached. No torch is imported.

    Raises:
        UserError: A manifest is wrong, or a file is missing.
    """
    from mandseg.system.instantiation import make  # reading run folders does not need Hydra

    sources = with_external(
        make(cfg.data.source, "data.source", cfg.trusted_packages), cfg.eval, cfg.evaluation.shared_subjects
    )
    return content_of_sources(sources, cfg)


def content_or_none(cfg: DictConfig) -> Content | None:
    """:func:`content_of`; None, with a warning, if the files cannot be read on this machine."""
    try:
        return content_of(cfg)
    except Exception as error:
        wrong = user_error_behind(error)
        if wrong is None:
            raise
        log.warning("whether images or labels changed cannot be checked: %s", wrong.problems[0])
        return None


def content_of_sources(sources: Sources, cfg: DictConfig) -> Content:
    """The content of sources that were read already.

    The training set is the complete split with the labels of all annotators. Noisy labels do not count if the noise is
    simulated, because it does not read them.
    """
    cache = Path(cfg.cache_dir) / "cases"
    training = sources.training.split("train")
    if not reads_noisy_labels(cfg):
        training = tuple(replace(case, noisy=None) for case in training)
    content = {TRAINING: cohort_digests(training, cache)}
    content[VALIDATION] = _tested(sources.training.split("val"), cache)
    for name, cases in sources.evaluation.items():
        content[recorded_name(name)] = _tested(cases, cache)
    return content


def recorded_name(dataset: str) -> str:
    """The name of a data set of the test in the content of a run."""
    return f"{dataset} (data set)" if dataset in TRAINED else dataset


def reads_noisy_labels(cfg: DictConfig) -> bool:
    """Whether the noise can read the manifest's column ``noisy``. Only this package's panel does not."""
    package, _, name = str(cfg.noise.source._target_).partition(".")
    return package != __name__.partition(".")[0] or name.rpartition(".")[2] != "Panel"


def changes(recorded: Mapping[str, Any], now: Content, sets: Sequence[str] | None = None) -> list[str]:
    """The differences between two contents, in the sets that both have.

    Args:
        recorded: The content in run.json.
        now: The present content of the files.
        sets: The sets to look at; by default all.

    Returns:
        One phrase for each set and kind of file: ``training references 1a2b3c4d5e6f, now 6f5e4d3c2b1a``.
    """
    return [
        f"{name} {kind} {recorded[name].get(kind) or 'none'}, now {digest or 'none'}"
        for name, kinds in now.items()
        if name in recorded and (sets is None or name in sets)
        for kind, digest in kinds.items()
        if recorded[name].get(kind, digest) != digest
    ]


def _tested(cases: Sequence[Case], cache: Path) -> dict[str, str]:
    digests = cohort_digests([replace(case, noisy=None) for case in cases], cache)
    return {kind: digest for kind, digest in digests.items() if kind != "noisy"}
