"""Pairs of cases with different subjects that show one patient, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from mandseg.data.case import Case
from mandseg.data.same_patient.fingerprint import Fingerprint
from mandseg.data.same_patient.likeness import Likeness
from mandseg.data.same_patient.search import find_matches

Known = tuple[Case, Fingerprint | None]


@dataclass(frozen=True)
class Suspicion:
    """Two cases of one patient under two names."""

    first: Case
    second: Case
    likeness: Likeness

    @property
    def is_certain(self) -> bool:
        """Whether a training with one and a test with the other is refused; otherwise there is a warning."""
        return self.likeness.verdict == "certain"

    def line(self, first: str, second: str) -> str:
        """Say it in one line, with the names of both cases."""
        verb = "show" if self.is_certain else "may show"
        return f"{first} and {second} {verb} the same patient ({self.likeness})"


def find_suspicions(first: Sequence[Known], second: Sequence[Known] | None = None) -> list[Suspicion]:
    """Compare the cases of one list with those of another, or with each other; pairs of one subject are left out."""
    other = first if second is None else second
    found = []
    for match in find_matches([known for _, known in first], None if second is None else [known for _, known in other]):
        a, b = first[match.first][0], other[match.second][0]
        if a.subject_id != b.subject_id:
            found.append(Suspicion(a, b, match.likeness))
    return found
