"""The exception for errors that the user can correct: shown as plain lines, exit code 2, no traceback."""

import csv
import errno
import sys
import zlib
from collections.abc import Sequence
from json import JSONDecodeError

WRONG_INPUT = 2  # exit code


class UserError(Exception):
    """Wrong input, stated in lines that name the case and both values.

    Args:
        problems: One line, or several when more than one thing was found at once.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class RunFailedError(Exception):
    """A run cannot continue. The message gives the reason and what to do, so no traceback is needed."""


def print_problems(error: UserError) -> None:
    """Print each problem as a line on standard error."""
    for problem in error.problems:
        print(f"mandseg: {problem}", file=sys.stderr)


def user_error_behind(error: BaseException | None) -> UserError | None:
    """Find the user error that an exception was raised from, as Hydra's are when it makes an object; None if none."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def disk_error_behind(error: BaseException | None) -> OSError | None:
    """Find the error of a disk (full, read-only, not permitted) that an exception was raised from; None if none."""
    while error is not None and not (isinstance(error, OSError) and error.errno in UNWRITABLE):
        error = error.__cause__ or error.__context__
    return error


UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})
EMPTY_WORDS = (
    *("full_key", "object_type", "Config search", "provider=", "To append to your config"),
    *("frame #", "Exception raised from", "CUDA kernel errors might", "For debugging consider", "Compile with `TORCH"),
)
"""Beginnings of lines that do not name the fault: Hydra's about its config path, torch's about its own code."""
TRACEBACK = "Traceback (most recent call last):"
LONGEST_REASON = 300  # letters


def one_line(error: BaseException) -> str:
    """Put an error of a library and what caused it on one line, without the lines that do not name the fault.

    Of a text with a traceback, as from a loader's process, only the text behind the last traceback is kept.
    """
    texts = [in_plain_words(error) or type(error).__name__]
    if error.__cause__ is not None:
        texts.append(in_plain_words(error.__cause__))
    lines = [line.strip().rstrip(".:") for text in texts for line in _without_traceback(text)]
    lines = [line for line in lines if line and not line.startswith(EMPTY_WORDS)]
    return "; ".join(dict.fromkeys(lines)) or type(error).__name__


def in_plain_words(error: BaseException) -> str:
    """What an error says; of damaged text, JSON, YAML, CSV or packed data: what is wrong and where, in own words."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:  # of YAML
        file = "" if str(mark.name).startswith("<") else f"{mark.name}: "
        return f"{file}not plain YAML from line {mark.line + 1}, column {mark.column + 1} on"
    match error:
        case JSONDecodeError():
            return f"not JSON from line {error.lineno}, column {error.colno} on"
        case UnicodeDecodeError():
            return f"not UTF-8 text, it holds the byte 0x{error.object[error.start]:02x}"
        case csv.Error() if "field limit" in str(error):
            return f"a cell has more than {csv.field_size_limit():,} letters: is a quote open?"
        case zlib.error():
            return "the packed data do not match their checksum, or are damaged before it"
        case ModuleNotFoundError() if error.name:
            return f"there is no module {error.name}"
    return str(error).strip()


def reason(error: BaseException) -> str:
    """Why a run failed, in a line that a table can hold: :func:`one_line`, cut where it is long."""
    line = one_line(error)
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON].rpartition(' ')[0]} ..."


def _without_traceback(text: str) -> list[str]:
    _, traceback, behind = text.rpartition(TRACEBACK)
    lines = behind.splitlines()
    return [line for line in lines if not line.startswith((" ", "\t"))] if traceback else lines
