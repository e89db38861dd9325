"""run.json as a typed object: the record of a run, checked value by value.

A file with a value of a wrong kind is refused in one line with the key and the value.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mandseg.runs.settings.schema import PRECISIONS
from mandseg.statistics.columns import CONDITION, EARLIEST, NOT_STATED, USUAL
from mandseg.system.errors import one_line

STATES = ("running", "done", "failed", "interrupted")
PHASES = {"prepare": ("prepare",), "train": ("train", "relabel"), "evaluate": ("evaluate",)}
"""The parts of a run's cost, and the phases of run.json that each sums: ``train/<stage>``, ``relabel/<stage>``."""
LARGEST = 10_000_000  # bytes; a record has a few thousand
LARGEST_NUMBER = 10**15
DEEPEST = 40  # nested groups
LONGEST = 60  # letters of a value in a message


class RecordError(ValueError):
    """A run.json cannot be used; the message is one line."""


def _is_text(value: object) -> bool:
    """A text that can be written as UTF-8. JSON may hold half of a surrogate pair, which cannot."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_precision(value: object) -> bool:
    """An arithmetic by Lightning's name. A run continues in the recorded one, so no other word is allowed."""
    return isinstance(value, str) and value in PRECISIONS and value != "auto"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST_NUMBER


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_NUMBER


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_plain(value: object, depth: int = DEEPEST) -> bool:
    """Texts, numbers, lists and groups, nested at most as deep as settings."""
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(_is_plain(each, depth - 1) for each in inner)
    is_huge = isinstance(value, int) and abs(value) >= LARGEST_NUMBER
    return _is_text(value) if isinstance(value, str) else not is_huge


def _is_group(value: object) -> bool:
    return isinstance(value, dict) and _is_plain(value)


def _is_table(inner: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and all(_is_text(key) and inner(value[key]) for key in value)


def _key(check: Callable[[object], bool], kind: str, default: Any = None) -> Any:
    """A key of run.json: the kind of its values, and the value that replaces a missing one or null."""
    return field(default=default, metadata={"check": check, "kind": kind})


@dataclass(frozen=True)
class RunRecord:
    """The record of a run. A run of an older version lacks some of it.

    Attributes:
        condition: The columns of :data:`CONDITION`, and ``config_hash`` where it is recorded.
        state: One of :data:`STATES`.
        error: The reason why it failed or stopped.
        wrong_input: Whether it failed because the user's input is wrong.
        seconds: Phase to seconds, over all its processes.
        began: Where the present process began to train: ``step``, and the steps that were ``logged`` before.
        content: Digests of the images and labels that it used.
        settings: Every setting that can change a score: ``{"optimizer.lr": 0.003}``.
        analysis: The group ``analysis`` of its config, which was declared before its start.
        evaluated: The hash of the data sets and settings of the test.
        n_rows: Rows of its cases.csv.
    """

    condition: Mapping[str, Any]
    state: str
    study: str = _key(_is_text, "a text", "")
    error: str | None = _key(_is_text, "a text")
    wrong_input: bool = _key(_is_flag, "true or false", False)
    started: str | None = _key(_is_text, "a text")
    ended: str | None = _key(_is_text, "a text")
    host: str | None = _key(_is_text, "a text")
    steps: int | None = _key(_is_count, "a number of steps")
    device: str | None = _key(_is_text, "a text")
    precision: str | None = _key(_is_precision, "a precision such as 32-true")
    test_precision: str | None = _key(_is_precision, "a precision such as 32-true")
    cohort: str | None = _key(_is_text, "a text")
    evaluated: str | None = _key(_is_text, "a text")
    n_rows: int | None = _key(_is_count, "a number of rows")
    n_noisy: int | None = _key(_is_count, "a number of cases")
    n_training: int | None = _key(_is_count, "a number of cases")
    seconds: Mapping[str, float] | None = _key(_is_table(_is_number), "seconds by phase")
    began: Mapping[str, int] | None = _key(_is_table(_is_count), "steps at the start of the training")
    versions: Mapping[str, str] | None = _key(_is_table(_is_text), "versions by package")
    content: Mapping[str, Mapping[str, str]] | None = _key(
        _is_table(_is_table(_is_text)), "digests by set and kind of file"
    )
    settings: Mapping[str, Any] | None = _key(_is_group, "values by setting")
    analysis: Mapping[str, Any] | None = _key(_is_group, "the group analysis of the config")

    def outside(self) -> "RunRecord":
        """The part of the record that may leave the machine: the condition, the state and the versions."""
        return RunRecord(self.condition, self.state, versions=self.versions)

    def cost(self) -> dict[str, Any]:
        """Steps, device and seconds of the run; None if not recorded. Relabelling is part of the training."""
        facts = {key: getattr(self, key) for key in ("steps", "device", "precision", "started", "ended", "host")}
        for part, phases in PHASES.items():
            found = [s for name, s in (self.seconds or {}).items() if name.partition("/")[0] in phases]
            facts[f"{part}_s"] = round(sum(found), 2) if found else None
        return facts


def read_facts(file: Path) -> dict[str, Any]:
    """The keys of a run.json that :func:`record_of` takes; none without such a file.

    Raises:
        RecordError: It cannot be read or is no record of a run.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise RecordError(f"run.json cannot be read: larger than {LARGEST} bytes")
        facts = json.loads(content.decode("utf-8"))
        record_of(facts)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except RecordError:
        raise
    except RecursionError as error:
        raise RecordError("run.json cannot be read: nested too deeply") from error
    except (OSError, ValueError) as error:
        raise RecordError(f"run.json cannot be read: {one_line(error)}") from error
    return dict(facts)


def record_of(facts: object) -> RunRecord:
    """The record of a run, checked.

    Args:
        facts: The content of run.json.

    Raises:
        RecordError: A value has a wrong kind, or the condition or the state is missing.
    """
    if not isinstance(facts, dict) or not isinstance(facts.get("condition"), dict):
        raise RecordError("run.json holds no condition")
    values: dict[str, Any] = {}
    for key in fields(RunRecord)[2:]:
        value = facts.get(key.name)
        if value is not None and not key.metadata["check"](value):
            raise RecordError(f"run.json: {key.name} is {_shown(value)}, expected {key.metadata['kind']}")
        values[key.name] = key.default if value is None else value
    if facts.get("state") not in STATES:
        raise RecordError(f"run.json: unknown state {_shown(facts.get('state'))}")
    return RunRecord(_condition(facts["condition"], values["settings"] or {}), facts["state"], **values)


KINDS = {"noise_ratio": (_is_share, "a share from 0 to 1"), "seed": (_is_count, "a whole number")}


def _condition(found: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of the condition; a column that an older version did not record is taken from the settings."""
    if absent := [key for key in EARLIEST if key not in found]:
        raise RecordError(f"run.json: the condition lacks {', '.join(absent)}")
    stated = {key: found.get(key, settings.get(f"{key}.name", USUAL.get(key, NOT_STATED))) for key in CONDITION}
    for key, value in stated.items():
        check, kind = KINDS.get(key, (_is_text, "a name"))
        if not check(value):
            raise RecordError(f"run.json: {key} of the condition is {_shown(value)}, expected {kind}")
    return stated


def _shown(value: object) -> str:
    """A value in a message: one line of letters that every terminal can print; a long value is cut."""
    text = ascii(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
