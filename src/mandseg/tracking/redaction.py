"""Settings as they may leave the machine: a path is a file's name at most, chosen annotators are withheld."""

import re
from collections.abc import Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

WITHHELD = "withheld"
PEOPLE = frozenset({"annotators", "leave_out", "shared_subjects"})
"""Keys whose values name those who contoured, or patients."""
PLACES = frozenset({"manifest", "cache_dir", "output_dir", "eval"})
"""Keys whose values are files or folders, even where they do not look like a path; of ``eval`` all values."""

BEFORE_A_KEY = re.compile(r"\s+(?=[+~]*[\w./@:-]+=)")
FILES = (".csv", ".tsv", ".xlsx", ".yaml", ".yml", ".json", ".ckpt", ".pt")
"""How the names of files end that settings name; whatever ends otherwise may be a folder."""


def without_folders(value: Any, is_place: bool = False) -> Any:
    """Nested settings with each path as its file's name, ``.../manifest.csv``, and a folder as ``...``.

    A folder's name can be a patient's, a user's or a hospital's, whether the path is absolute or not.

    Args:
        value: Settings: mappings, lists, texts, numbers.
        is_place: Whether a text is a path whatever it looks like.
    """
    if isinstance(value, Mapping):
        return {str(key): _of_key(str(key), item, is_place) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item, is_place) for item in value]
    if isinstance(value, str | PurePath):
        text = str(value)
        return file_name(text) if is_place or isinstance(value, PurePath) or _looks_like_a_path(text) else text
    return value


def without_folders_in_overrides(words: str) -> str:
    """The same of settings in one line, ``key=value key=value``; what follows a value belongs to it."""
    kept = []
    for word in BEFORE_A_KEY.split(words.strip()):
        key, is_setting, value = word.partition("=")
        parts = {*key.lstrip("+~").split(".")}
        if is_setting:
            shown = WITHHELD if PEOPLE & parts else without_folders(value, bool(PLACES & parts))
            kept.append(f"{key}={shown}")
        else:
            kept.append(without_folders(word))
    return " ".join(kept)


def file_name(path: str) -> str:
    """A path as its file's name below ``...``; ``...`` alone where it may be a folder."""
    last = PureWindowsPath(path).name  # takes both separators
    return f".../{last}" if last.lower().endswith(FILES) else "..."


def _of_key(key: str, item: Any, is_place: bool) -> Any:
    if key in PEOPLE:
        return item if not item else WITHHELD
    return without_folders(item, is_place or key in PLACES)


def _looks_like_a_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.startswith("~")
