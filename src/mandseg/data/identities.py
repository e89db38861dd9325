"""Which ids look as if they identified a patient: hospital numbers, dates and people's names.

A guess, made to warn: ids of public sets (pt_201, 0522c0457, TCGA-CV-5430) and pseudonyms pass.
"""

import re
from collections.abc import Iterable

from mandseg.data.case import Case

PSEUDONYM = re.compile(r"[pa][0-9a-f]{8,12}(-[0-9a-f]{6})?")  # what `mandseg prepare dicom` makes
DATE = re.compile(r"(?<!\d)((19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d|[0-3]?\d[-_.][01]?\d[-_.](19|20)\d\d)(?!\d)")
HOSPITAL_NUMBER = re.compile(r"\d{6}")  # in a row; study numbers are shorter
UID = re.compile(r"\d+(\.\d+){4,}")
NAME = re.compile(
    r"[^\W\d_]{2,}\s*\^|[^\W\d_]{2,},\s*[^\W\d_]{2,}|\b(dr|prof|mrs?|frau|herr)[ ._]+[^\W\d_]{2,}", re.IGNORECASE
)
TWO_WORDS = re.compile(r"[A-ZÄÖÜ][^\W\d_]{2,}[ _-][A-ZÄÖÜ][^\W\d_]{2,}")
NO_NAMES = re.compile(
    r"case|patient|scan|head|neck|train|test|val|site|clinic|mandible|phantom|left|right", re.IGNORECASE
)


def looks_like(text: str) -> str:
    """Say what an id looks like: ``a date``, ``a UID``, ``a hospital number``, ``a name``; the empty string for none.

    >>> looks_like("4711815"), looks_like("Muster^Erika"), looks_like("pt_201")
    ('a hospital number', 'a name', '')
    """
    if PSEUDONYM.fullmatch(text):
        return ""
    if UID.search(text):
        return "a UID"
    if DATE.search(text):
        return "a date"
    if HOSPITAL_NUMBER.search(text):
        return "a hospital number"
    if NAME.search(text) or (TWO_WORDS.fullmatch(text) and not NO_NAMES.search(text)):
        return "a name"
    return ""


def identity_warnings(cases: Iterable[Case]) -> dict[str, str]:
    """Warn of ids and annotators that look like identities: one line for each column and kind.

    Returns:
        Warning -> the id of the first case that it is about. No warning quotes what it warns of.
    """
    counts: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        for column, text in (("case_id", case.case_id), ("subject_id", case.subject_id), ("annotator", case.annotator)):
            if kind := looks_like(text):
                counts.setdefault((column, kind), []).append(case.case_id)
    advice = "they go into file names, tables and reports: give numbers of your own"
    return {f"column {column}: {len(ids)} look like {kind}; {advice}": ids[0] for (column, kind), ids in counts.items()}
