"""The table of structures and their ROI names. Other names are never printed, because they may name a person."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from mandseg.system.errors import UserError, in_plain_words

PARTIAL = "~"
WHOLE, LEFT, RIGHT = "whole", "left", "right"
SIDES = {
    LEFT: ("l", "lt", "left", "li", "lk", "links", "gauche", "g"),
    RIGHT: ("r", "rt", "right", "re", "rts", "rechts", "droite", "droit", "d"),
}


@dataclass(frozen=True)
class Vocabulary:
    """Structures and their names, as in structures.yaml."""

    names: Mapping[str, tuple[str, ...]]
    halves: tuple[str, ...] = ()
    """Structures that may be split into a left and a right ROI."""

    def part(self, wanted: str, name: str) -> str:
        """Find the part of a structure that an ROI name means.

        Args:
            wanted: A structure of the table by any of its names, another name, or a pattern with ``*`` or ``?``.
            name: The name of the ROI.

        Returns:
            ``whole``, ``left``, ``right``, or the empty string if it means something else.
        """
        if "*" in wanted or "?" in wanted:
            return WHOLE if fnmatchcase(name.casefold().strip(), wanted.casefold()) else ""
        structure = self._structures.get(plain(wanted))
        if plain(name) == plain(wanted) or (structure and self._structures.get(plain(name)) == structure):
            return WHOLE
        return self._halves.get((structure or "", plain(name)), "")

    def resembles(self, wanted: str, name: str) -> bool:
        """Whether an ROI name contains a name of a structure."""
        structure = self._structures.get(plain(wanted))
        known = [plain(wanted), *(own for own, other in self._structures.items() if structure and other == structure)]
        return any(len(own) > 4 and own in plain(name) for own in known)

    def shown(self, name: str, wanted: Sequence[str] = ()) -> str:
        """Give a name if it is in the table or was given by the user; otherwise the empty string."""
        half = any(known == plain(name) for _, known in self._halves)
        return name.strip() if half or plain(name) in {*self._structures, *map(plain, wanted)} else ""

    @cached_property
    def _structures(self) -> dict[str, str]:
        """Plain name -> structure."""
        return {plain(name): structure for structure, names in self.names.items() for name in (structure, *names)}

    @cached_property
    def _halves(self) -> dict[tuple[str, str], str]:
        """Structure and plain name of a half -> its side."""
        return {
            (structure, plain_half): side
            for structure in self.halves
            for name in (structure, *self.names[structure])
            for side, words in SIDES.items()
            for word in words
            for plain_half in (plain(name) + word, word + plain(name))
        }


def plain(name: str) -> str:
    """Keep only letters, digits and ``~`` of a name, without case and accents; in TG-263 ``~`` marks a partial contour.

    >>> plain("Bone_Mandible"), plain(" mandíbula "), plain("Mandible~")
    ('bonemandible', 'mandibula', 'mandible~')
    """
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if letter.isalnum() or letter == PARTIAL)


def read_vocabulary(more: Path | None = None) -> Vocabulary:
    """Read the table of the package and add the user's table.

    Raises:
        UserError: The user's file is not such a table, or one name belongs to two structures.
    """
    names, halves = _parse(
        files(__package__).joinpath("structures.yaml").read_text(encoding="utf-8"), "structures.yaml"
    )
    if more is not None:
        if not more.is_file():
            raise UserError(f"{more}: no such file, expected a table of names like structures.yaml")
        own, own_halves = _parse(more.read_text(encoding="utf-8"), str(more))
        names = {key: (*names.get(key, ()), *own.get(key, ())) for key in [*names, *(k for k in own if k not in names)]}
        halves = (*halves, *own_halves)
    seen: dict[str, str] = {}
    for structure, own_names in names.items():
        for name in (structure, *own_names):
            if seen.setdefault(plain(name), structure) != structure:
                raise UserError(f"{more}: {name!r} means {structure} and {seen[plain(name)]}, expected one of them")
    return Vocabulary(names, halves)


def _parse(text: str, source: str) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    try:
        table: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{source}: {in_plain_words(error)}") from error
    names = table.get("names") if isinstance(table, dict) else None
    if not isinstance(names, dict) or not all(isinstance(value, list) for value in names.values()):
        raise UserError(f"{source}: expected `names:` with a list of names for each structure")
    halves = table.get("halves") or []
    if unknown := [structure for structure in halves if structure not in names]:
        raise UserError(f"{source}: halves of {unknown[0]}, expected a structure under `names:`")
    return {str(key): tuple(str(name) for name in value) for key, value in names.items()}, tuple(halves)
