"""Text stays text: a study named 2024, a reader named 1, a subject 007. Hydra would convert them to numbers.

On the command line such words are put in quotes before Hydra reads them, so a name does not change. A whole number in
a file or from a range becomes its digits. :mod:`mandseg.runs.settings.check` refuses any other number, because Hydra
has already converted 1e5 to 100000.0.
"""

import copy
import re
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

KEYS = (
    *("study", "ranking", "output_dir", "cache_dir", "data.name", "data.manifest", "data.source.test_sets_by"),
    *(
        "noise.name",
        "noise.annotators",
        "noise.leave_out",
        "model.name",
        "method.name",
        "loss.name",
        "evaluation.shared_subjects",
    ),
    *("tracking.project", "tracking.entity"),
)
"""Settings that are names, paths or lists of names."""
OPEN_GROUP = "eval."
NUMBER = r"[+-]?(?:\d[\d_]*(?:\.[\d_]*)?(?:e[+-]?\d[\d_]*)?|\.\d[\d_]*(?:e[+-]?\d[\d_]*)?|inf|nan)|true|false"
WORD = re.compile(rf"(?<![^,\[])(\s*)({NUMBER})(\s*)(?![^,\]])", re.IGNORECASE)
QUOTED = r"\1'\2'\3"
WRITTEN_OUT = set("'\"\\(){}$")  # quotes, functions, mappings, interpolations: these are not changed


def quoted(word: str) -> str:
    """A word of the command line, with its numbers in quotes if the setting is a text.

    Examples:
        ``study=1e5`` becomes ``study='1e5'``, ``noise.annotators=[1,2],[3]`` becomes
        ``noise.annotators=['1','2'],['3']``; ``seed=1`` stays.
    """
    key, equals, value = word.partition("=")
    name = key.lstrip("+")
    if not equals or not (name in KEYS or name.startswith(OPEN_GROUP)) or WRITTEN_OUT & set(value):
        return word
    return f"{key}={WORD.sub(QUOTED, value)}"


def with_text(cfg: DictConfig) -> DictConfig:
    """The config with digits instead of whole numbers in text settings; the same object if nothing changes."""
    changes = {}
    for key in (*KEYS, "eval"):
        value = OmegaConf.select(cfg, key, throw_on_missing=False)
        plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if (text := _as_text(plain)) != plain:
            changes[key] = text
    if not changes:
        return cfg
    cfg = copy.deepcopy(cfg)
    with open_dict(cfg):
        for key, text in changes.items():
            OmegaConf.update(cfg, key, text, merge=False)
    return cfg


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
