"""Counts with their nouns, and the likely meaning of a mistyped word, for messages."""

from collections.abc import Iterable
from difflib import get_close_matches


def count(n: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "seed"), count(2, "seed")
    ('1 seed', '2 seeds')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"


def verb(n: int, plural: str) -> str:
    """A regular verb that fits a number of things.

    >>> verb(1, "hold"), verb(2, "hold")
    ('holds', 'hold')
    """
    return f"{plural}s" if n == 1 else plural


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
