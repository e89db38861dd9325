"""The differences between the arms of a study besides the condition's columns: settings and content of files.

The runs of an arm are equal in everything except the noise ratio and the seed. run.json contains the settings of a run
and digests of its images and labels. A run of an older version recorded neither. For such a run the overrides in
grid.csv are compared, in any order and without those that cannot change a score.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mandseg.runs.condition import decides, plain
from mandseg.runs.record import RunRecord
from mandseg.statistics.columns import CONDITION, GROUPS

OWNERS = GROUPS
"""Columns of the condition. The settings in the group of this name belong to the column and may differ with it."""
ELSEWHERE = CONDITION
"""Settings that the columns of the condition show."""
NOISY_LABELS = "training noisy"
FOLD = ("data.fold", "data.source.fold")
"""Differ within a study of folds on purpose: ``mandseg status`` says nothing of them; the arms stay apart by them."""
MOST_WORDS, LONGEST = 6, 60
DIGITS = 6
NAMED = 3


@dataclass(frozen=True)
class Description:
    """The settings and the content of one run.

    Attributes:
        run: Its name.
        columns: The columns of its condition that own settings.
        settings: Name to value.
        content: ``<set> <kind>`` to digest, without sets on which the run was not tested.
        has_all: Whether the settings are complete; otherwise they are those of its overrides.
    """

    run: str
    columns: Mapping[str, str]
    settings: Mapping[str, Any]
    content: Mapping[str, str]
    has_all: bool


def describe(run: str, columns: Mapping[str, Any], record: RunRecord | None, overrides: object) -> Description:
    """Describe a run by its record, or by its overrides if the record has no settings."""
    own = {name: str(columns.get(name, "")) for name in OWNERS}
    recorded = (record.content if record else None) or {}
    content = {f"{name} {kind}": digest for name, kinds in recorded.items() for kind, digest in kinds.items()}
    if record is not None and record.settings is not None:
        return Description(run, own, record.settings, content, True)
    return Description(run, own, settings_of_words(overrides), content, False)


def settings_of_words(overrides: object) -> dict[str, Any]:
    """The settings of overrides such as ``steps=40 trainer=cpu``, without those that cannot change a score."""
    text = overrides if isinstance(overrides, str) else ""
    settings = {}
    for word in re.split(r"\s+(?=[+~]*[\w./@:-]+=)", text.strip()):
        key, _, value = word.partition("=")
        name = key.lstrip("+~").replace("/", ".")
        if name and name not in ELSEWHERE and decides(name):
            settings[name] = _value(value)
    return settings


@dataclass(frozen=True)
class Variants:
    """The differences between the runs of a study besides their condition's columns.

    Attributes:
        names: Run to its differences: ``steps=40 training=1a2b3c``; empty if all runs agree.
        settings: One line for each setting that differs between runs which otherwise would form one arm.
        content: One line for each kind of file that differs between runs.
    """

    names: Mapping[str, str]
    settings: tuple[str, ...]
    content: tuple[str, ...]


def tell_apart(runs: Sequence[Description]) -> Variants:
    """Compare the settings and the content of runs."""
    settings, content = _differing_settings(runs), _differing_content(runs)
    names = {}
    for run in runs:
        own = [key for key in sorted(run.settings) if (key, _owner(key, run)) in settings]
        words = [f"{key}={_short(run.settings[key])}" for key in own]
        names[run.run] = _joined([*words, *_content_words(run, content)])
    lines = [
        f"runs that differ in {key} are not compared with each other: "
        + _by_value({r.run: _short(r.settings[key]) if key in r.settings else "not stated" for r in runs})
        for key in dict.fromkeys(key for key, _ in sorted(settings) if key not in FOLD)
    ]
    versions = [
        f"runs from different {key} are not compared with each other: "
        + _by_value({run.run: run.content[key] or "none" for run in runs if key in run.content})
        for key in dict.fromkeys(key for key, _ in sorted(content))
    ]
    return Variants(names, tuple(lines), tuple(versions))


Owner = tuple[str, ...]
"""The values of the columns within which a key must agree."""


def _owner(key: str, run: Description) -> Owner:
    group = key.partition(".")[0]
    return (run.columns[group],) if group in OWNERS else ()


def _content_owner(key: str, run: Description) -> Owner:
    columns = ("data", "noise") if key == NOISY_LABELS else ("data",)
    fold = [_short(run.settings[key]) for key in FOLD if key in run.settings]
    return (*(run.columns[name] for name in columns), *fold)


def _differing_settings(runs: Sequence[Description]) -> set[tuple[str, Owner]]:
    """The settings with several values within one owner, or that only some of its runs have."""
    found = set()
    for key in dict.fromkeys(key for run in runs for key in run.settings):
        values: dict[Owner, set[str]] = {}
        without: set[tuple[Owner, bool]] = set()
        with_key: set[tuple[Owner, bool]] = set()
        for run in runs:
            owner = _owner(key, run)
            (with_key if key in run.settings else without).add((owner, run.has_all))
            if key in run.settings:
                values.setdefault(owner, set()).add(repr(run.settings[key]))
        found |= {(key, owner) for owner, several in values.items() if len(several) > 1}
        found |= {(key, owner) for owner, _ in with_key & without}
    return found


def _differing_content(runs: Sequence[Description]) -> set[tuple[str, Owner]]:
    values: dict[tuple[str, Owner], set[str]] = {}
    for run in runs:
        for key, digest in run.content.items():
            values.setdefault((key, _content_owner(key, run)), set()).add(digest)
    return {key for key, several in values.items() if len(several) > 1}


def _content_words(run: Description, differing: set[tuple[str, Owner]]) -> list[str]:
    """``training=1a2b3c`` for each set of files that differs between runs."""
    of_sets: dict[str, list[str]] = {}
    for key in sorted(run.content):
        if (key, _content_owner(key, run)) in differing:
            of_sets.setdefault(key.rpartition(" ")[0], []).append(f"{key} {run.content[key]}")
    return [f"{name}={_digest(lines)}" for name, lines in of_sets.items()]


def _joined(words: Sequence[str]) -> str:
    """The words in one text; of many words only the first ones and a digest of all."""
    if len(words) <= MOST_WORDS:
        return " ".join(words)
    kept = words[: MOST_WORDS - 1]
    return f"{' '.join(kept)} and {len(words) - len(kept)} more ({_digest(words)})"


def _value(word: str) -> Any:
    """The value of an override in the form of the settings: a number as a float, ``[1, 2]`` as a list."""
    text = word.strip().strip("'\"")
    for read in (float, json.loads):
        try:
            return plain(read(text))
        except ValueError:
            continue
    return {"true": True, "false": False, "null": None}.get(text.lower(), text)


def _short(value: Any) -> str:
    """A value in a few letters; a long value is its beginning and a digest."""
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
