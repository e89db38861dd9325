"""Names that come from data (cases, data sets, studies) and become names of files, and paths that begin with ``~``."""

import re
import unicodedata
from pathlib import Path

from mandseg.system.errors import UserError

HYDRA_SIGNS = re.compile(r"[\\()\[\]{}:=, \t]")
LONGEST = 150  # bytes: a case and its data set make one file name, which file systems end at 255


def name_problem(name: str) -> str:
    """Say why a name from data (a case, a data set, a study) cannot be part of a file's name; empty if it can.

    >>> name_problem("P001"), name_problem("")
    ('', '')
    """
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name):
        return f"{name!r} cannot be a file name: it holds a control character"
    if any(mark in name for mark in "/\\:") or name.startswith("."):
        return f"{name!r} cannot be a file name: no / \\ : and no leading dot"
    if len(name.encode()) > LONGEST:
        return f"{name[:20]!r}... cannot be a file name: {len(name.encode())} bytes, expected {LONGEST} or fewer"
    return ""


def checked_name(what: str, name: str) -> str:
    """Give a name from data back if it can be part of a file's name.

    Args:
        what: Whose name it is, for the message, e.g. ``study``.
        name: The name.

    Raises:
        UserError: It is empty, leads elsewhere, is too long or holds a control character.
    """
    if not name.strip():
        raise UserError(f"{what}: the name is empty")
    if problem := name_problem(name):
        raise UserError(f"{what} {problem}")
    return name


def printable(text: str) -> str:
    r"""Replace what cannot be printed, so that a message with a text from data is one line and changes no terminal.

    >>> printable("A\nB")
    'A?B'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def with_home(word: str) -> str:
    """Put the home folder in place of a ``~`` that begins a word of a command line or the value of its option.

    A shell does so for a word of its own only, not behind ``--out=`` and not in quotes.

    >>> with_home("scans~/x"), with_home("~trainer")
    ('scans~/x', '~trainer')
    """
    return re.sub(r"^(--[\w-]+=)?~[\w.-]*(?=/)|^~$", _home, word)


def with_home_in_setting(word: str) -> str:
    """:func:`with_home` for a setting of Hydra's, ``key=~/x`` or ``key=~/x,~/y``, where ``~key`` means something else.

    What Hydra would read as its own signs in the home folder's path is escaped.
    """
    return re.sub(r"(?<=[=,\[])~[\w.-]*(?=[/,\]]|$)", lambda match: HYDRA_SIGNS.sub(r"\\\g<0>", _home(match)), word)


def _home(match: re.Match[str]) -> str:
    option, place = re.fullmatch(r"(.*?)(~.*)", match[0]).groups()  # type: ignore[union-attr]
    try:
        return f"{option}{Path(place).expanduser()}"
    except RuntimeError:  # there is no such user
        return match[0]
