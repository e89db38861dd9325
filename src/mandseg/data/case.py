"""A case of a cohort: its identity, its files and its groups, from one row of the manifest."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One scan with its labels. Paths are absolute, links in them are kept, a missing file is None."""

    case_id: str
    subject_id: str
    split: str
    image: Path | None
    reference: Path | None
    noisy: Path | None = None
    annotator: str = ""
    groups: dict[str, str] = field(default_factory=dict, hash=False)
    """Further columns of the manifest: grouping variables."""
    dose: Path | None = None
    """The planned dose in Gy, on any grid in the same frame. Only ``mandseg dose`` reads it."""
