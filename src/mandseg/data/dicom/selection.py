"""Which structure set is the reference, which the noisy label, and which of their ROIs are the structure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from mandseg.data.dicom.structures import CLOSED, Roi, StructureSet
from mandseg.data.dicom.vocabulary import LEFT, RIGHT, WHOLE, Vocabulary, plain
from mandseg.system.errors import UserError

REFUSE, MERGE, FIRST = "refuse", "merge", "first"
SEVERAL = (REFUSE, MERGE, FIRST)


class Absent(UserError):
    """What was asked for is not there, and nothing is broken."""


@dataclass(frozen=True)
class Selection:
    """What the user asks for."""

    structures: tuple[str, ...] = ("Mandible",)
    reference: str = ""  # pattern of a structure set; none: the only one
    noisy: str = ""  # pattern of a structure set; none: no noisy label, unless its ROI has another name
    noisy_structures: tuple[str, ...] = ()  # none: as the reference
    several: str = REFUSE
    dose: str = ""  # pattern of an RTDOSE file
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary({}))

    def reference_set(self, sets: Sequence[StructureSet], source: Path) -> StructureSet:
        """Choose the structure set of the reference.

        Raises:
            Absent: None holds the structure.
            UserError: Several do.
        """
        if self.reference:
            named = [one for one in sets if matches(self.reference, one, source)]
        else:
            named = [one for one in sets if not (self.noisy and matches(self.noisy, one, source))]
        return self._only(named, self.structures, "--reference")

    def noisy_set(self, sets: Sequence[StructureSet], source: Path) -> StructureSet | None:
        """Choose the structure set of the noisy label; None where no noisy label is asked for.

        Raises:
            Absent: None holds the structure.
            UserError: Several do.
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
        """Choose the ROIs that are a structure: one, two halves, or what ``several`` says.

        Args:
            structure_set: With its contours.
            wanted: The structure's names, the first one preferred.

        Raises:
            Absent: No ROI has such a name.
            UserError: Several have, one half is missing, or all of them are empty.
        """
        found = [(roi, part) for roi, part in self._named(structure_set, wanted)]
        if not found:
            raise Absent(f"no ROI means {wanted[0]}{self._resembling([structure_set], wanted)}")
        drawn = [(roi, part) for roi, part in found if any(contour.kind in CLOSED for contour in roi.contours)]
        parts = {part: [roi for roi, own in drawn if own == part] for part in (WHOLE, LEFT, RIGHT)}
        if not drawn:
            return tuple(roi for roi, _ in found[:1])  # rasterising says why it is empty
        if parts[WHOLE]:
            return self._among(parts[WHOLE], wanted)
        if not parts[LEFT] or not parts[RIGHT]:
            there, missing = (LEFT, RIGHT) if parts[LEFT] else (RIGHT, LEFT)
            raise UserError(f"the {there} half of {wanted[0]} is there and the {missing} half is not, expected both")
        return (*self._among(parts[LEFT], wanted), *self._among(parts[RIGHT], wanted))

    def _only(self, named: Sequence[StructureSet], wanted: Sequence[str], option: str) -> StructureSet:
        holding = [one for one in named if self._named(one, wanted)]
        if not named:
            raise Absent(f"no structure set fits {option}" if self.reference or self.noisy else "no structure set")
        if not holding:
            similar = self._resembling(named, wanted)
            raise Absent(f"no ROI of {len(named)} structure sets means {wanted[0]}{similar}")
        if len(holding) > 1:
            raise UserError(f"{len(holding)} structure sets hold {wanted[0]}, expected 1: {option} says which")
        return holding[0]

    def _named(self, structure_set: StructureSet, wanted: Sequence[str]) -> list[tuple[Roi, str]]:
        """List the ROIs whose names mean a structure, each with the part that it is: those called as said first."""
        found: dict[int, tuple[Roi, str]] = {}
        for name in wanted:
            called_so = [roi for roi in structure_set.rois if plain(roi.name) == plain(name)]
            for roi in [*called_so, *structure_set.rois]:
                if part := self.vocabulary.part(name, roi.name):
                    found.setdefault(roi.number, (roi, part))
        return list(found.values())

    def _resembling(self, sets: Sequence[StructureSet], wanted: Sequence[str]) -> str:
        """Say how many ROIs have the structure's name in theirs, such as an expanded or a cropped one."""
        names = [roi.name for one in sets for roi in one.rois]
        count = sum(any(self.vocabulary.resembles(word, name) for word in wanted) for name in names)
        return f" ({count} ROIs have it in their names: --show-names lists them)" if count else ""

    def _among(self, rois: Sequence[Roi], wanted: Sequence[str]) -> tuple[Roi, ...]:
        if len(rois) == 1 or self.several == MERGE:
            return tuple(rois)
        if self.several == FIRST:
            return tuple(rois[:1])
        names = ", ".join(self.vocabulary.shown(roi.name, wanted) or f"number {roi.number}" for roi in rois)
        raise UserError(f"{len(rois)} ROIs mean {wanted[0]} ({names}), expected 1: --several says what to do")


def matches(pattern: str, structure_set: StructureSet, source: Path) -> bool:
    """Tell whether a pattern, with ``*`` and ``?``, is a structure set's file, label, name, description or operator."""
    texts = (structure_set.label, structure_set.name, structure_set.series_description, structure_set.operators)
    return fits(pattern, (*file_names(structure_set.path, source), *texts))


def fits(pattern: str, texts: Sequence[str]) -> bool:
    """Tell whether a pattern is one of the texts, upper and lower case being the same."""
    return any(fnmatchcase(text.casefold(), pattern.casefold()) for text in texts if text)


def file_names(path: Path, source: Path) -> tuple[str, str, str]:
    """Give what a file may be called: its name, that without a suffix, and its path below the source."""
    below = path.relative_to(source).as_posix() if path.is_relative_to(source) else path.name
    return path.name, path.stem, below
