"""The expectations of settings: a test of the value, and the text for the user."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mandseg.system.errors import UserError

LONGEST_NAME = 60  # letters; a folder's name joins several names, and file systems allow 255 bytes
LONGEST_SIDE = 1024  # voxels


@dataclass(frozen=True)
class Expectation:
    """A test of one value; as text it reads ``expected a whole number, 1 or more``."""

    words: str
    holds: Callable[[Any], bool]

    def __str__(self) -> str:
        return self.words


def require(expectation: Expectation, prefix: str, **values: Any) -> None:
    """Refuse settings that are not as expected.

    Args:
        expectation: Of each of the values.
        prefix: The group of the settings, e.g. ``loss``.
        values: The settings by their names.

    Raises:
        UserError: One line for each setting that is not.
    """
    if wrong := {name: value for name, value in values.items() if not expectation.holds(value)}:
        raise UserError([f"{prefix}.{name}={shown(value)}: {expectation}" for name, value in wrong.items()])


def whole(low: int, high: int | None = None) -> Expectation:
    """A whole number in a range; 1.0 and true are not whole numbers."""
    words = f"a whole number, {low} or more" if high is None else f"a whole number, {low} to {high}"
    return Expectation(f"expected {words}", lambda value: _is_whole(value, low, high))


def number(
    low: float, high: float, words: str, ends: bool = True, above: bool = False, plain: bool = False
) -> Expectation:
    """A number from ``low`` to ``high``.

    Args:
        low: The smallest one.
        high: The largest one.
        words: The text of the expectation.
        ends: Whether both ends belong to the range.
        above: Whether only the lower end does not belong to the range.
        plain: Whether the text has no ``expected`` in front of it.
    """

    def holds(value: Any) -> bool:
        if not is_number(value) or not low <= value <= high:
            return False
        return (ends or low < value < high) and not (above and value == low)

    return Expectation(words if plain else f"expected {words}", holds)


def one_of(*values: Any) -> Expectation:
    """One of a few values."""
    words = ", ".join(dict.fromkeys(map(str, values)))
    return Expectation(
        f"expected {'one of ' if len(values) > 1 else ''}{words}",
        lambda value: not isinstance(value, bool) and any(type(value) is type(v) and value == v for v in values),
    )


def list_of(one: Expectation, words: str, least: int = 0, length: int | None = None) -> Expectation:
    """A list whose items have one kind."""

    def holds(value: Any) -> bool:
        right = isinstance(value, list) and len(value) >= least and (length is None or len(value) == length)
        return right and all(one.holds(item) for item in value)

    return Expectation(f"expected {words}", holds)


def optional(one: Expectation) -> Expectation:
    """The same, or null."""
    return Expectation(f"{one.words}, or null", lambda value: value is None or one.holds(value))


def is_number(value: Any) -> bool:
    """Whether it is a finite number; true is not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def shown(value: Any) -> str:
    """A value in the syntax of a config, on one line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{', '.join(shown(item) for item in value)}]"
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))


def _is_whole(value: Any, low: int, high: int | None) -> bool:
    right = isinstance(value, int) and not isinstance(value, bool)
    return right and low <= value and (high is None or value <= high)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() == value != "" and value.isprintable()


def _is_name(value: Any, longest: int = LONGEST_NAME) -> bool:
    return _is_text(value) and value[0] != "." and not set(value) & set("/\\:") and len(value) <= longest


def _are_modules(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(v, str) and v != "" and all(part.isidentifier() for part in v.split(".")) for v in value
    )


def _is_study(value: Any) -> bool:
    parts: Sequence[str] = value.split("/") if isinstance(value, str) else []
    return bool(parts) and all(_is_name(part, 2 * LONGEST_NAME) for part in parts)


WORKERS = Expectation(
    "expected auto, or a whole number, 0 to 1024", lambda value: value == "auto" or _is_whole(value, 0, 1024)
)
FLAG = Expectation("expected true or false", lambda value: isinstance(value, bool))
FINITE = Expectation("expected a number", is_number)
POSITIVE = Expectation("expected a number above 0", lambda value: is_number(value) and value > 0)
NOT_NEGATIVE = Expectation("expected a number, 0 or more", lambda value: is_number(value) and value >= 0)
NEGATIVE = Expectation("expected a number below 0", lambda value: is_number(value) and value < 0)
SHARE = number(0, 1, "a share, 0 to 1")
SHARE_BELOW_1 = Expectation("expected a share from 0 to below 1", lambda value: is_number(value) and 0 <= value < 1)
OVERLAP = number(0, 0.95, "a share, 0 to 0.95")
REACH_MM = number(0, 200, "a length in mm, 0 to 200")  # a head has 200 mm
TEXT = Expectation("expected a text; one that looks like a number or null in quotes: \"'1e5'\"", _is_text)
NAME = Expectation(
    f"expected a name of 1 to {LONGEST_NAME} letters without / \\ : and no dot in front; in quotes if it looks like a "
    "number",
    _is_name,
)
STUDY = Expectation(
    "expected the name of a folder below output_dir; one that looks like a number or null in quotes: \"'1e5'\"",
    _is_study,
)
PATH = Expectation(
    "expected a path", lambda value: isinstance(value, str) and value.strip() != "" and value.isprintable()
)
PACKAGES = Expectation("expected a list of packages or modules of Python, e.g. [my_losses]", _are_modules)
SIZES = list_of(
    Expectation("", lambda value: _is_whole(value, 1, LONGEST_SIDE)),
    f"three whole numbers of voxels, each from 1 to {LONGEST_SIDE}",
    length=3,
)
SIZES_OR_AUTO = Expectation(f"{SIZES.words}, or auto", lambda value: value == "auto" or SIZES.holds(value))
LENGTHS = list_of(number(0.05, 50, ""), "three lengths in mm, each from 0.05 to 50", length=3)
