"""Counts with their nouns, and the likely meaning of a mistyped word or path, for messages."""

import re
import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from glob import escape
from pathlib import Path

SINGULAR = {"are": "is", "were": "was", "have": "has"}


def count(n: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "seed"), count(2, "seed")
    ('1 seed', '2 seeds')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"


def verb(n: int, plural: str) -> str:
    """A verb that fits a number of things.

    >>> verb(1, "hold"), verb(2, "hold"), verb(1, "reach"), verb(1, "are")
    ('holds', 'hold', 'reaches', 'is')
    """
    if n != 1:
        return plural
    return SINGULAR.get(plural, f"{plural}es" if plural.endswith("ch") else f"{plural}s")


def some_of(n: int, total: int, noun: str, plural: str) -> str:
    """A number of all things with a verb.

    >>> some_of(1, 4, "case", "have"), some_of(0, 1, "case", "have")
    ('1 of 4 cases has', '0 of 1 case have')
    """
    return f"{n} of {count(total, noun)} {verb(n, plural)}"


def similar_path(path: Path) -> str:
    """What may be meant by a path that does not exist: ``; did you mean outputs/clinic?``, or nothing.

    The first part that is missing is compared with the names beside it. A bare name is also sought one folder deeper.
    """
    missing = next((part for part in (*reversed(path.parents), path) if not part.exists()), None)
    if missing is None or not missing.parent.is_dir():
        return ""
    beside = {beside.name.casefold(): beside.name for beside in sorted(missing.parent.iterdir())}
    near = get_close_matches(missing.name.casefold(), beside, n=1)
    meant = [missing.with_name(beside[word]) / path.relative_to(missing) for word in near]
    if path == Path(path.name):
        meant += sorted(Path().glob(f"[!.]*/{escape(path.name)}"))
    return f"; did you mean {meant[0]}?" if meant else ""


def typed(path: Path) -> str:
    """A path as it has to be typed in a command.

    >>> typed(Path("outputs/my study"))
    "'outputs/my study'"
    """
    return shlex.quote(str(path))


ABOUT_A_CASE = re.compile(r"case (?P<case>.+?)(?P<what>(?: skipped)?: .+)", re.DOTALL)
LISTED = 3  # cases that a summed line names


def summed_up(lines: Sequence[str]) -> list[str]:
    """Say once what many lines say about one case each, where the first of them stood.

    >>> summed_up([f"case {n} skipped: no label" for n in range(9)])
    ['9 cases (0, 1, 2, ...) skipped: no label']
    >>> summed_up(["case a: odd", "case b: odd"])
    ['case a: odd', 'case b: odd']
    """
    cases: dict[str, list[str]] = {}
    for line in lines:
        if found := ABOUT_A_CASE.fullmatch(line):
            cases.setdefault(found["what"], []).append(found["case"])
    sums: dict[str, None] = {}
    for line in lines:
        found = ABOUT_A_CASE.fullmatch(line)
        of = cases[found["what"]] if found else []
        listed = ", ".join(of[:LISTED])
        sums[f"{count(len(of), 'case')} ({listed}, ...){found['what']}" if found and len(of) > LISTED else line] = None
    return list(sums)


def expected_one_of(word: str, known: Iterable[str]) -> str:
    """``expected one of a, b, c`` with the nearest word first, if one is near.

    >>> expected_one_of("stpes", ["seed", "steps"])
    'did you mean steps? Expected one of seed, steps'
    >>> expected_one_of("foo", ["seed", "steps"])
    'expected one of seed, steps'
    """
    known = sorted(known)
    near = get_close_matches(word, known, n=1)
    listed = f"xpected one of {', '.join(known)}" if known else "xpected nothing here"
    return f"did you mean {near[0]}? E{listed}" if near else f"e{listed}"
