"""Finds ids that seem to identify a patient: hospital numbers, dates and names of people.

It guesses and only warns. Ids of public sets (pt_201, 0522c0457, TCGA-CV-5430) and pseudonyms are accepted.
"""

import re
from collections.abc import Iterable

from mandseg.data.case import Case

LONGEST = 500  # letters that are looked at; the search for a name takes their square
PSEUDONYM = re.compile(r"[pa][0-9a-f]{8,12}(-[0-9a-f]{6})?")  # made by `mandseg prepare dicom`
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


def identity_kind(text: str) -> str:
    """Name the kind of identity that an id seems to be: ``a date``, ``a UID``, ``a hospital number``, ``a name`` or "".

    >>> identity_kind("4711815"), identity_kind("Muster^Erika"), identity_kind("pt_201")
    ('a hospital number', 'a name', '')
    """
    text = text[:LONGEST]
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
    """Warn of ids and annotators that seem to be identities: one line for each column and kind.

    Returns:
        Warning -> the id of its first case. No warning quotes an id.
    """
    counts: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        for column, text in (("case_id", case.case_id), ("subject_id", case.subject_id), ("annotator", case.annotator)):
            if kind := identity_kind(text):
                counts.setdefault((column, kind), []).append(case.case_id)
    advice = "they go into file names, tables and reports: give numbers of your own"
    return {f"column {column}: {len(ids)} look like {kind}; {advice}": ids[0] for (column, kind), ids in counts.items()}
