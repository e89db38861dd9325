"""The condition of a run: the settings that determine the result, and the folder name that follows from them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mandseg.data.ranking_file import RANKINGS, read_ranking
from mandseg.runs.run_name import name_of, noise_label, study_of_data
from mandseg.runs.settings.check import check_settings
from mandseg.runs.settings.typed_text import with_text
from mandseg.statistics.columns import GROUPS, LATER, USUAL
from mandseg.system.config_paths import register_resolver

# Settings that do not change the result.
NOT_CONDITION = frozenset(
    {
        *("hydra", "study", "trainer", "tracking", "eval", "evaluation", "memorisation", "dynamics", "analysis"),
        *(
            "checkpoint_minutes",
            "output_dir",
            "cache_dir",
            "num_workers",
            "debug",
            "rerun",
            "trusted_packages",
            "structure",
        ),
    }
)
OF_TRAINER = ("gradient_clip_val", "precision", "sync_batchnorm")
"""Settings of the trainer that change the arithmetic."""
OF_TESTING = ("checkpoint", "smallest_piece")
"""Settings of the evaluation that change a score."""
PATH_KEYS = frozenset({"cache_dir", "manifest", "public"})
"""Keys inside groups that do not change the result: the paths of files, and whether their cases may be shown.

The digests in run.json detect a change of the content (docs/resume.md)."""
ELSEWHERE = ("noise_ratio", "seed", *USUAL)
"""Settings that are columns themselves."""
PACKAGE = __name__.split(".")[0]


def condition(cfg: DictConfig) -> dict[str, Any]:
    """The columns that distinguish the runs of a study.

    Raises:
        UserError: A setting has a wrong type, is out of range or contradicts another.
    """
    cfg = with_text(cfg)
    check_settings(cfg)
    return {
        "noise_ratio": float(cfg.noise_ratio),
        "seed": int(cfg.seed),
        **{group: noise_label(cfg.noise) if group == "noise" else cfg[group].name for group in GROUPS},
        **budget_columns(cfg),
        "config_hash": config_hash(cfg),
    }


def budget_columns(cfg: DictConfig) -> dict[str, str]:
    """The columns ``clean_budget`` and ``ranking``: without a budget the usual ones, of a file its name and content.

    Raises:
        UserError: ``ranking`` is neither a known one nor a file.
    """
    if not cfg.clean_budget:
        return dict(USUAL)
    budget, ranking = f"{cfg.clean_budget:g}", str(cfg.ranking)
    if ranking not in RANKINGS:
        order = "\n".join(read_ranking(Path(ranking)))
        ranking = f"{Path(ranking).stem}-{hashlib.sha256(order.encode()).hexdigest()[:6]}"
    return {"clean_budget": budget, "ranking": ranking}


def earliest(condition: Mapping[str, Any]) -> dict[str, Any]:
    """A condition with the columns that every version recorded.

    Checkpoints and cases.csv hold these columns only, so files of earlier versions still match. ``config_hash`` covers
    the later columns.
    """
    return {key: value for key, value in condition.items() if key not in LATER}


def config_hash(cfg: DictConfig) -> str:
    """Eight hex digits of everything that determines the trained network; 0 and 0.0 are the same number."""
    return _digest(_of_training(cfg))


def settings_of(cfg: DictConfig) -> dict[str, Any]:
    """Every setting that can change a score, except those that are columns: ``{"optimizer.lr": 0.003, ...}``.

    Runs with equal settings belong to one arm. Numbers are floats, and paths are left out, as in the hash.
    """
    settings = _of_training(cfg) | {"evaluation": {key: cfg.evaluation[key] for key in OF_TESTING}}
    return dict(_flat({key: value for key, value in plain(settings).items() if key not in ELSEWHERE}))


def decides(key: str) -> bool:
    """Whether the setting of this name, e.g. ``optimizer.lr``, can change a score; a group counts by its first word."""
    first, _, rest = key.partition(".")
    if key.rpartition(".")[2] in PATH_KEYS:
        return False
    if first in ("trainer", "evaluation"):
        return rest in (OF_TRAINER if first == "trainer" else OF_TESTING)
    return first not in NOT_CONDITION


def _of_training(cfg: DictConfig) -> dict[str, Any]:
    cfg = with_text(cfg)
    settings: dict[str, Any] = {}
    for key in sorted(str(k) for k in cfg):
        if key not in NOT_CONDITION and key not in USUAL:
            node = cfg[key]
            settings[key] = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    budget = budget_columns(cfg)  # runs without a budget keep the hash that they had before there were budgets
    settings |= budget if budget != USUAL else {}
    # of the trainer, only what changes the arithmetic; precision=auto depends on the machine
    keys = ["gradient_clip_val", "precision", *([] if cfg.trainer.sync_batchnorm else ["sync_batchnorm"])]
    settings["trainer"] = {key: cfg.trainer[key] for key in keys}
    return settings


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as ``group.key``; a list is one value."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def evaluation_hash(cfg: DictConfig) -> str:
    """Eight hex digits of the data sets and settings of the test. A done run with another hash is tested again."""
    return _digest({key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("eval", "evaluation")})


def run_name(cfg: DictConfig) -> str:
    """The run folder's name: a readable part and the hash."""
    return name_of(condition(cfg))


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain(settings), sort_keys=True).encode()).hexdigest()[:8]


def plain(value: Any) -> Any:
    """Settings in a form in which equal settings have equal text.

    Numbers become floats. Paths are left out. A class of this package counts by its name and not by its module, so that
    a move of a module does not change the names of runs.
    """
    if isinstance(value, dict):
        return {k: _target(v) if k == "_target_" else plain(v) for k, v in value.items() if k not in PATH_KEYS}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _target(path: str) -> str:
    """A path of this package as ``mandseg:SlidingWindow``; a path of another package as it is."""
    package, _, name = path.partition(".")
    return f"{PACKAGE}:{name.rpartition('.')[2]}" if package == PACKAGE else path


# Configs may use ${run_name:}. It is registered at import, because a job on a cluster resolves its config after that.
register_resolver("run_name", lambda *, _root_: run_name(_root_))
register_resolver("study_of_data", lambda *, _root_: study_of_data(_root_))
