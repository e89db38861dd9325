"""Settings that may leave the machine: a path is reduced to the name of its file, and annotators are removed."""

import re
from collections.abc import Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

WITHHELD = "withheld"
PEOPLE = frozenset({"annotators", "leave_out", "shared_subjects"})
"""Keys whose values name annotators or patients."""
PATH_KEYS = frozenset({"manifest", "cache_dir", "output_dir", "eval"})
"""Keys whose values are files or folders, even if they do not look like a path; all values below ``eval``."""

BEFORE_A_KEY = re.compile(r"\s+(?=[+~]*[\w./@:-]+=)")
FILES = (".csv", ".tsv", ".xlsx", ".yaml", ".yml", ".json", ".ckpt", ".pt")
"""Endings of file names in settings. A name with another ending may be a folder."""


def without_folders(value: Any, is_path: bool = False) -> Any:
    """Nested settings in which a file is ``.../manifest.csv`` and a folder is ``...``.

    A folder can be named after a patient, a user or a hospital, in absolute and in relative paths.

    Args:
        value: Settings: mappings, lists, texts, numbers.
        is_path: Whether a text is always a path, even if it does not look like one.
    """
    if isinstance(value, Mapping):
        return {str(key): _of_key(str(key), item, is_path) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item, is_path) for item in value]
    if isinstance(value, str | PurePath):
        text = str(value)
        is_path = is_path or isinstance(value, PurePath) or "/" in text or "\\" in text or text.startswith("~")
        return file_name(text) if is_path else text
    return value


def without_folders_in_overrides(words: str) -> str:
    """The same for settings in one line, ``key=value key=value``. Words without ``=`` belong to the value before."""
    kept = []
    for word in BEFORE_A_KEY.split(words.strip()):
        key, is_setting, value = word.partition("=")
        parts = {*key.lstrip("+~").split(".")}
        if is_setting:
            shown = WITHHELD if PEOPLE & parts else without_folders(value, bool(PATH_KEYS & parts))
            kept.append(f"{key}={shown}")
        else:
            kept.append(without_folders(word))
    return " ".join(kept)


def file_name(path: str) -> str:
    """``.../name`` for a file; ``...`` for a path that may be a folder."""
    last = PureWindowsPath(path).name  # takes both separators
    return f".../{last}" if last.lower().endswith(FILES) else "..."


def _of_key(key: str, item: Any, is_path: bool) -> Any:
    if key in PEOPLE:
        return item if not item else WITHHELD
    return without_folders(item, is_path or key in PATH_KEYS)
