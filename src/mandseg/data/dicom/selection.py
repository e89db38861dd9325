"""Chooses the structure sets of the reference and of the noisy label, and their ROIs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from mandseg.data.dicom.structures import CLOSED, Roi, StructureSet
from mandseg.data.dicom.vocabulary import LEFT, RIGHT, WHOLE, Vocabulary, plain
from mandseg.data.structure import MANDIBLE
from mandseg.system.errors import UserError
from mandseg.system.wording import count, typed, verb

REFUSE, MERGE, FIRST = "refuse", "merge", "first"
SEVERAL = (REFUSE, MERGE, FIRST)


class Absent(UserError):
    """A wanted structure set or ROI does not exist, but no file is broken."""


@dataclass(frozen=True)
class Selection:
    """The user's choice of structure sets, ROIs and dose."""

    structures: tuple[str, ...] = (MANDIBLE,)
    reference: str = ""  # pattern of a structure set; empty: the only one
    noisy: str = ""  # pattern of a structure set; empty: no noisy label, unless noisy_structures are given
    noisy_structures: tuple[str, ...] = ()  # empty: as in the reference
    several: str = REFUSE
    dose: str = ""  # pattern of an RTDOSE file
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary({}))

    @property
    def structure(self) -> str:
        """The structure by one name: the mandible if a name means it, else the first name that is no pattern."""
        known = self.vocabulary.part
        if any(WHOLE in (known(MANDIBLE, name), known(name, MANDIBLE)) for name in self.structures):
            return MANDIBLE
        return next((name for name in self.structures if not set(name) & set("*?")), "")

    def reference_set(self, sets: Sequence[StructureSet], source: Path) -> StructureSet:
        """Choose the structure set of the reference.

        Raises:
            Absent: No structure set holds the structure.
            UserError: Several hold it.
        """
        if self.reference:
            named = [one for one in sets if matches(self.reference, one, source)]
        else:
            named = [one for one in sets if not (self.noisy and matches(self.noisy, one, source))]
        return self._only(named, self.structures, "--reference")

    def noisy_set(self, sets: Sequence[StructureSet], source: Path) -> StructureSet | None:
        """Choose the structure set of the noisy label; None if no noisy label is wanted.

        Raises:
            Absent: No structure set holds the structure.
            UserError: Several hold it.
        """
        if not self.noisy and not self.noisy_structures:
            return None
        if not self.noisy:
            return self.reference_set(sets, source)
        named = [one for one in sets if matches(self.noisy, one, source)]
        return self._only(named, self.noisy_structures or self.structures, "--noisy")

    def candidates(self, structure_set: StructureSet, wanted: Sequence[str]) -> set[int]:
        """Give the numbers of the ROIs whose names mean a structure."""
        return {roi.number for roi, _ in self._named(structure_set, wanted)}

    def rois(self, structure_set: StructureSet, wanted: Sequence[str]) -> tuple[Roi, ...]:
        """Choose the ROIs of a structure: one, two halves, or several as in ``several``.

        Args:
            structure_set: A structure set with its contours.
            wanted: The names of the structure, the first one preferred.

        Raises:
            Absent: No ROI has such a name.
            UserError: Several ROIs have one, or one half is missing.
        """
        found = [(roi, part) for roi, part in self._named(structure_set, wanted)]
        if not found:
            raise Absent(f"no ROI means {wanted[0]}{self._resembling([structure_set], wanted)}")
        drawn = [(roi, part) for roi, part in found if any(contour.kind in CLOSED for contour in roi.contours)]
        parts = {part: [roi for roi, own in drawn if own == part] for part in (WHOLE, LEFT, RIGHT)}
        if not drawn:
            return tuple(roi for roi, _ in found[:1])  # rasterising reports why it is empty
        if parts[WHOLE]:
            return self._among(parts[WHOLE], wanted)
        if not parts[LEFT] or not parts[RIGHT]:
            present, missing = (LEFT, RIGHT) if parts[LEFT] else (RIGHT, LEFT)
            raise UserError(f"{wanted[0]} has a {present} half but no {missing} half, expected both")
        return (*self._among(parts[LEFT], wanted), *self._among(parts[RIGHT], wanted))

    def _only(self, named: Sequence[StructureSet], wanted: Sequence[str], option: str) -> StructureSet:
        holding = [one for one in named if self._named(one, wanted)]
        if not named:
            raise Absent(f"no structure set fits {option}" if self.reference or self.noisy else "no structure set")
        if not holding:
            similar = self._resembling(named, wanted)
            raise Absent(f"no ROI of {count(len(named), 'structure set')} means {wanted[0]}{similar}")
        if len(holding) > 1:
            raise UserError(f"{len(holding)} structure sets hold {wanted[0]}, expected 1; choose one with {option}")
        return holding[0]

    def _named(self, structure_set: StructureSet, wanted: Sequence[str]) -> list[tuple[Roi, str]]:
        """List the ROIs of a structure with their parts; exact names come first."""
        found: dict[int, tuple[Roi, str]] = {}
        for name in wanted:
            exact = [roi for roi in structure_set.rois if plain(roi.name) == plain(name)]
            for roi in [*exact, *structure_set.rois]:
                if part := self.vocabulary.part(name, roi.name):
                    found.setdefault(roi.number, (roi, part))
        return list(found.values())

    def _resembling(self, sets: Sequence[StructureSet], wanted: Sequence[str]) -> str:
        """Count the ROIs whose names contain a name of the structure, e.g. an expanded one, for a message."""
        names = [roi.name for one in sets for roi in one.rois]
        n = sum(any(self.vocabulary.resembles(word, name) for word in wanted) for name in names)
        return f" ({count(n, 'ROI')} {verb(n, 'have')} it in the name: --show-names lists all)" if n else ""

    def _among(self, rois: Sequence[Roi], wanted: Sequence[str]) -> tuple[Roi, ...]:
        if len(rois) == 1 or self.several == MERGE:
            return tuple(rois)
        if self.several == FIRST:
            return tuple(rois[:1])
        names = ", ".join(self.vocabulary.shown(roi.name, wanted) or f"number {roi.number}" for roi in rois)
        raise UserError(f"{len(rois)} ROIs mean {wanted[0]} ({names}), expected 1; choose with --several")


def refuse_patterns_without_match(
    selection: Selection, sets: Sequence[StructureSet], doses: Sequence[Path], source: Path
) -> None:
    """Refuse a choice that fits nothing in the whole export: it is mistyped, or of another export.

    Args:
        selection: The user's choice.
        sets: All structure sets of the export.
        doses: The files of all doses.
        source: The export, which file names are relative to.

    Raises:
        UserError: A pattern fits no structure set or dose, or no ROI has a name of the noisy label's structure.
    """
    problems = []
    if sets:
        n, advice = len(sets), f"`mandseg prepare dicom {typed(source)} --show-names` lists their names"
        for option, pattern in (("--reference", selection.reference), ("--noisy", selection.noisy)):
            if pattern and not any(matches(pattern, one, source) for one in sets):
                problems.append(f"{option} {pattern!r}: fits none of {count(n, 'structure set')}; {advice}")
        names = selection.noisy_structures
        if names and not any(selection.candidates(one, names) for one in sets):
            wanted = ", ".join(names)
            problems.append(f"--noisy-structure {wanted!r}: no ROI of {count(n, 'structure set')} has it; {advice}")
    if selection.dose and not any(fits(selection.dose, file_names(path, source)) for path in doses):
        none = f"fits none of {count(len(doses), 'RTDOSE file')}" if doses else "the export has no RTDOSE file"
        problems.append(f"--dose {selection.dose!r}: {none}")
    if problems:
        raise UserError(problems)


def matches(pattern: str, structure_set: StructureSet, source: Path) -> bool:
    """Whether a pattern matches the file, label, name, series description or operator of a structure set."""
    texts = (structure_set.label, structure_set.name, structure_set.series_description, structure_set.operators)
    return fits(pattern, (*file_names(structure_set.path, source), *texts))


def fits(pattern: str, texts: Sequence[str]) -> bool:
    """Whether a pattern with ``*`` and ``?`` matches one of the texts, ignoring case."""
    return any(fnmatchcase(text.casefold(), pattern.casefold()) for text in texts if text)


def file_names(path: Path, source: Path) -> tuple[str, str, str]:
    """Give the name of a file, the name without suffix, and the path below the source."""
    below = path.relative_to(source).as_posix() if path.is_relative_to(source) else path.name
    return path.name, path.stem, below
