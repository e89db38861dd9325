"""A case of a cohort: its identity, its files and its groups, as a row of the manifest says."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One scan with its labels; paths are absolute and lead over links as given, a label that is not there is None."""

    case_id: str
    subject_id: str
    split: str
    image: Path | None
    reference: Path | None
    noisy: Path | None = None
    annotator: str = ""
    groups: dict[str, str] = field(default_factory=dict, hash=False)
    """Further columns of the manifest, kept as grouping variables."""
