"""What tells the arms of a study apart besides the condition's columns: settings and content, never words.

An arm holds runs that are equal in everything but the noise ratio and the seed. A run says in run.json by which
settings and from which images and labels it was made. A run of an older version does not: of that one the overrides in
grid.csv are read, whatever their order, without those that decide nothing.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mandseg.runs.condition import decides, plain

OWNERS = ("data", "noise", "model", "method")
"""Columns of the condition. A group of settings of this name belongs to its column and may differ with it."""
ELSEWHERE = ("noise_ratio", "seed", *OWNERS)
"""What the columns of the condition show."""
NOISY_LABELS = "training noisy"
MOST_WORDS, LONGEST = 6, 60
DIGITS = 6
NAMED = 3


@dataclass(frozen=True)
class Description:
    """What one run says about how it was made.

    Attributes:
        run: Its name.
        columns: The columns of its condition that own settings.
        settings: Name to value.
        content: ``<set> <kind>`` to digest; a set that the run was not tested on is not in it.
        is_whole: Whether all settings are there, or only those that its overrides name.
    """

    run: str
    columns: Mapping[str, str]
    settings: Mapping[str, Any]
    content: Mapping[str, str]
    is_whole: bool


def describe(run: str, columns: Mapping[str, Any], record: Mapping[str, Any], overrides: object) -> Description:
    """Read what a run's record says, or its overrides where that says nothing."""
    own = {name: str(columns.get(name, "")) for name in OWNERS}
    content = {
        f"{name} {kind}": d for name, kinds in (record.get("content") or {}).items() for kind, d in kinds.items()
    }
    if isinstance(record.get("settings"), dict):
        return Description(run, own, record["settings"], content, True)
    return Description(run, own, settings_of_words(overrides), content, False)


def settings_of_words(overrides: object) -> dict[str, Any]:
    """The settings that overrides name, such as ``steps=40 trainer=cpu``, without those that decide nothing."""
    text = overrides if isinstance(overrides, str) else ""
    settings = {}
    for word in re.split(r"\s+(?=[+~]*[\w./@:-]+=)", text.strip()):
        key, _, value = word.partition("=")
        name = key.lstrip("+~").replace("/", ".")
        if name and name not in ELSEWHERE and decides(name):
            settings[name] = _value(value)
    return settings


def variants(runs: Sequence[Description]) -> dict[str, str]:
    """A name for what each run has of its own: ``steps=40 training=1a2b3c``, empty where all runs agree."""
    settings = {run.run: [f"{key}={_short(value)}" for key, value in _own(run, runs).items()] for run in runs}
    return {run.run: _joined([*settings[run.run], *_content_words(run, runs)]) for run in runs}


def differing_settings(runs: Sequence[Description]) -> list[str]:
    """One line for each setting in which runs differ that would be one arm else."""
    keys = dict.fromkeys(key for run in runs for key in _own(run, runs))
    lines = []
    for key in keys:
        values = {run.run: _short(run.settings[key]) if key in run.settings else "not set" for run in runs}
        lines.append(f"runs that differ in {key} are not compared with each other: {_by_value(values)}")
    return lines


def differing_content(runs: Sequence[Description]) -> list[str]:
    """One line for each kind of file that runs of one data set were made from, or tested on, in several versions."""
    keys = dict.fromkeys(key for run in runs for key in run.content if _content_differs(key, run, runs))
    return [
        f"runs from different {key} are not compared with each other: "
        + _by_value({run.run: run.content[key] or "none" for run in runs if key in run.content})
        for key in keys
    ]


def _own(run: Description, runs: Sequence[Description]) -> dict[str, Any]:
    """The settings of a run in which the runs of the same owner differ, by name."""
    return {key: run.settings[key] for key in sorted(run.settings) if _setting_differs(key, run, runs)}


def _setting_differs(key: str, run: Description, runs: Sequence[Description]) -> bool:
    group = key.partition(".")[0]
    owners = (group,) if group in OWNERS else ()
    alike = [other for other in runs if _same(other, run, owners)]
    stated = {json.dumps(other.settings[key], sort_keys=True) for other in alike if key in other.settings}
    absent = [other for other in alike if key not in other.settings and other.is_whole == run.is_whole]
    return len(stated) > 1 or bool(stated and absent)


def _content_differs(key: str, run: Description, runs: Sequence[Description]) -> bool:
    owners = ("data", "noise") if key == NOISY_LABELS else ("data",)
    return len({other.content[key] for other in runs if key in other.content and _same(other, run, owners)}) > 1


def _content_words(run: Description, runs: Sequence[Description]) -> list[str]:
    """``training=1a2b3c`` for each set of which the runs have several versions."""
    of_sets: dict[str, list[str]] = {}
    for key in sorted(run.content):
        if _content_differs(key, run, runs):
            of_sets.setdefault(key.rpartition(" ")[0], []).append(f"{key} {run.content[key]}")
    return [f"{name}={_digest(lines)}" for name, lines in of_sets.items()]


def _same(one: Description, other: Description, columns: Iterable[str]) -> bool:
    return all(one.columns[column] == other.columns[column] for column in columns)


def _joined(words: Sequence[str]) -> str:
    """The words in one text; of many only the first, and a digest of all."""
    if len(words) <= MOST_WORDS:
        return " ".join(words)
    kept = words[: MOST_WORDS - 1]
    return f"{' '.join(kept)} and {len(words) - len(kept)} more ({_digest(words)})"


def _value(word: str) -> Any:
    """The value of an override as the settings hold it: a number as a float, ``[1, 2]`` as a list."""
    text = word.strip().strip("'\"")
    for read in (float, json.loads):
        try:
            return plain(read(text))
        except ValueError:
            continue
    return {"true": True, "false": False, "null": None}.get(text.lower(), text)


def _short(value: Any) -> str:
    """A value in a few letters; of a long one the beginning and a digest."""
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    text = re.sub(r"(?<=\d)\.0(?=[],}])", "", text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - DIGITS - 1]}-{_digest([text])}"


def _by_value(values: Mapping[str, str]) -> str:
    """``40 (4 runs); 4 (ratio0_seed0_...)``."""
    runs: dict[str, list[str]] = {}
    for run, value in values.items():
        runs.setdefault(value, []).append(run)
    listed = sorted(runs.items(), key=lambda found: -len(found[1]))
    return "; ".join(f"{value} ({', '.join(n) if len(n) <= NAMED else f'{len(n)} runs'})" for value, n in listed)


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGITS]
