"""Finds cases by file name patterns: ``{case}/img.nrrd`` finds the image of every case."""

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.importers.columns import normal_split
from mandseg.data.manifest import COLUMNS, DOSE
from mandseg.data.volume import is_image_file
from mandseg.system.errors import UserError

Found = dict[str, tuple[Path, dict[str, str]]]  # case -> file and other fields of the pattern

FIELDS = "{case}, {subject}, {split} and {annotator} fill it, any other name makes a group"
FIELD = re.compile(r"\{(\w+)\}|(\*)")


def find_drafts(source: Path, patterns: Mapping[str, str]) -> list[Case]:
    """Find the cases whose files match the patterns, joined by their ``{case}``.

    Fields: ``{case}`` (required), ``{subject}``, ``{split}``, ``{annotator}``; any other becomes a group. ``*`` matches
    any part of a name. Matching ignores case.

    Args:
        source: The folder; patterns are relative to it.
        patterns: For some of ``image``, ``reference``, ``noisy``, ``dose``.

    Returns:
        One case for each name that any pattern finds; ``split`` is empty if no pattern has ``{split}``.

    Raises:
        UserError: A pattern has no ``{case}``, finds nothing, or finds two files for one case; two patterns are the
            same, or fill a field of one case in two ways.
    """
    patterns = {name: relative_pattern(source, pattern) for name, pattern in patterns.items()}
    first: dict[str, str] = {}
    for name, pattern in patterns.items():
        if (other := first.setdefault(pattern, name)) != name:
            raise UserError(f"--{other} and --{name} have the same pattern {pattern!r}, expected two")
    files = _image_files(source)
    found = {name: match_files(source, files, pattern) for name, pattern in patterns.items()}
    drawn = [matches for name, matches in found.items() if name != DOSE]  # a dose alone makes no case
    cases = sorted({case for matches in drawn for case in matches}, key=_natural)
    if problems := [line for case in cases for line in _contradictions(case, found)]:
        raise UserError(problems)
    return [_draft(case, found) for case in cases]


def relative_pattern(source: Path, pattern: str) -> str:
    """Normalise a pattern to a path below the source; it may be absolute or have backslashes.

    Raises:
        UserError: It points outside the source.
    """
    below = posixpath.normpath(pattern.replace("\\", "/"))
    if below.startswith("~/"):
        below = Path(below).expanduser().as_posix()
    homes = [home for home in (source.absolute(), source.resolve()) if Path(below).is_relative_to(home)]
    if homes:
        below = Path(below).relative_to(homes[0]).as_posix()
    if below.startswith(("/", "../")):
        raise UserError(f"pattern {pattern!r}: points outside {source}; patterns are relative to it")
    return below


def match_files(source: Path, files: Iterable[str], pattern: str) -> Found:
    """Match relative POSIX paths against one pattern."""
    regex = re.compile(to_regex(pattern), re.IGNORECASE)
    found: Found = {}
    problems = []
    for name in files:
        if not (match := regex.fullmatch(name)):
            continue
        fields = match.groupdict()
        case = fields.pop("case")
        if case in found:
            problems.append(
                f"case {case}: {pattern} finds {found[case][0].relative_to(source)} and {name}, expected one"
            )
        found[case] = (source / name, fields)
    if not found:
        problems.append(f"{source}: no file matches {pattern}")
    if problems:
        raise UserError(problems)
    return found


def to_regex(pattern: str) -> str:
    r"""Translate a pattern to a regular expression; a repeated field must match the same text.

    >>> to_regex("{case}/{case}_*.nrrd")
    '(?P<case>[^/]+)/(?P=case)_[^/]*\\.nrrd'
    """
    if "{case}" not in pattern:
        raise UserError(f"pattern {pattern!r}: has no {{case}}, e.g. '{{case}}/img.nrrd'")
    parts, end, seen = [], 0, set()
    for match in FIELD.finditer(pattern):
        parts.append(re.escape(pattern[end : match.start()]))
        end = match.end()
        name = match[1]
        if not name:
            parts.append("[^/]*")
        elif not name.isidentifier():
            raise UserError(f"pattern {pattern!r}: {{{name}}} is not a name")
        elif name in {*COLUMNS, DOSE} - {"split", "annotator"}:
            raise UserError(f"pattern {pattern!r}: {{{name}}} is a column of the manifest itself; {FIELDS}")
        else:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+)")
            seen.add(name)
    return "".join([*parts, re.escape(pattern[end:])])


def _image_files(source: Path) -> list[str]:
    """List the image files below a folder as relative POSIX paths, sorted; links to folders are followed."""
    names = []
    for folder, _, files in os.walk(source, followlinks=True, onerror=_refuse_closed):
        names += [(Path(folder) / name).relative_to(source).as_posix() for name in files if is_image_file(Path(name))]
    return sorted(names)


def _refuse_closed(error: OSError) -> None:
    """Refuse a folder that cannot be listed, because its cases would be missing in silence."""
    raise UserError(f"{error.filename}: cannot be opened ({error.strerror})") from error


def _contradictions(case: str, found: Mapping[str, Found]) -> list[str]:
    """Describe the fields of a case that two patterns fill differently: the files may be of two patients."""
    first: dict[str, tuple[str, str]] = {}
    texts = []
    for name, matches in found.items():
        for field, value in matches[case][1].items() if case in matches else ():
            other, text = first.setdefault(field, (name, value))
            if text.casefold() != value.casefold():
                texts.append(f"case {case}: {{{field}}} is {text} in --{other} and {value} in --{name}, expected one")
    return texts


def _draft(case: str, found: Mapping[str, Found]) -> Case:
    files: dict[str, Path] = {}
    fields: dict[str, str] = {}
    for name, matches in found.items():
        if case in matches:
            files[name], more = matches[case]
            fields = more | fields
    return Case(
        case_id=case,
        subject_id=fields.pop("subject", case),
        split=normal_split(fields.pop("split", "")),
        image=files.get("image"),
        reference=files.get("reference"),
        noisy=files.get("noisy"),
        annotator=fields.pop("annotator", ""),
        groups=fields,
        dose=files.get(DOSE),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort case_2 before case_10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
