"""Lists the files of one image: its own file and the data files that a detached header names.

Code that hashes, compares or copies an image uses this list, so that it never takes a header for the voxels.
"""

import re
from pathlib import Path

from mandseg.system.errors import UserError

HEADER_BYTES = 1 << 20  # longer than the longest list of slices; no header is read beyond
PAIRED = {".hdr": ".img", ".img": ".hdr"}  # Analyze and NIfTI pairs: the header's suffix and the data's
NRRD = (".nrrd", ".nhdr")
META = (".mha", ".mhd")
NRRD_DATA = re.compile(r"data ?file\s*:(?!=)\s*(.+)", re.IGNORECASE)
META_DATA = re.compile(r"ElementDataFile\s*[=:]\s*(.+)")
META_LOCAL = re.compile(r"ElementDataFile\s*[=:]\s*LOCAL", re.IGNORECASE)  # the voxels follow
META_SIZE = re.compile(r"DimSize\s*[=:].*?(\d+)\s*")  # the last number: how many slices there are
LISTED = re.compile(r"LIST(\s+\d+)?", re.IGNORECASE)
NUMBERED = re.compile(r"(\S*%\d*[di]\S*)((?:\s+-?\d+)*)")
NUMBER = re.compile(r"%(0?)(\d*)[di]")


def files_of(path: Path) -> tuple[Path, ...]:
    """List all files of an image: the given one first, the others in the order of their voxels.

    Args:
        path: The file in the manifest. Links are not followed: the data of a header is expected beside the link.

    Raises:
        UserError: The file, or a data file that its header names, is missing.
    """
    files = (path, *(path.parent / name for name in _data_names(path)))
    if missing := [file for file in files[1:] if not file.is_file()]:
        raise UserError(f"{path}: its data file {missing[0].name} is missing")
    return files


def _data_names(path: Path) -> list[str]:
    """Name the data files relative to the header's folder; none if the file holds the voxels."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix in NRRD:
        return _nrrd_names(header_lines(path))
    if suffix in META:
        return _meta_names(header_lines(path))
    return _pair_names(path)


def header_lines(path: Path) -> list[str]:
    """Read the lines of a text header: NRRD up to the empty line before the voxels, MetaImage up to its last field."""
    lines: list[str] = []
    is_nrrd = path.suffix.lower() in NRRD
    with path.open("rb") as file:
        while file.tell() < HEADER_BYTES and (line := file.readline(HEADER_BYTES)):
            text = line.decode("utf-8", "surrogateescape").strip()
            if META_LOCAL.fullmatch(text) or (is_nrrd and not text):
                break
            lines.append(text)
    return lines


def _nrrd_names(lines: list[str]) -> list[str]:
    """Read the names after ``data file:`` in an NRRD header."""
    for number, line in enumerate(lines):
        if match := NRRD_DATA.fullmatch(line):
            return _names(match[1], lines[number + 1 :])
    return []


def _meta_names(lines: list[str]) -> list[str]:
    """Read the names in ``ElementDataFile``, the last field of a MetaImage header."""
    n_slices = 0
    for number, line in enumerate(lines):
        if match := META_SIZE.fullmatch(line):
            n_slices = int(match[1])
        if match := META_DATA.fullmatch(line):
            return _names(match[1], lines[number + 1 :], n_slices)
    return []


def _names(value: str, following: list[str], n_slices: int = 0) -> list[str]:
    """Resolve one name, LIST with one name a line, or a numbered pattern ``ct%03d.raw 1 24 1``."""
    if LISTED.fullmatch(value):
        return [line for line in following if line]
    if match := NUMBERED.fullmatch(value):
        numbers = _counted([int(number) for number in match[2].split()], n_slices)
        return [NUMBER.sub(lambda mark, n=n: f"{n:{mark[1]}{mark[2]}d}", match[1]) for n in numbers]
    return [value]


def _counted(numbers: list[int], n_slices: int) -> range:
    """Give the numbers from the first to the last by a step; MetaImage may omit step, last and first."""
    first = numbers[0] if numbers else 1
    last = numbers[1] if len(numbers) > 1 else first + n_slices - 1
    step = (numbers[2] if len(numbers) > 2 else 0) or 1
    if abs(last - first) > HEADER_BYTES:
        return range(first, first + 1)
    return range(first, last + (1 if step > 0 else -1), step)


def _pair_names(path: Path) -> list[str]:
    """Name the other file of an Analyze or NIfTI pair, with or without .gz."""
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    stem, suffix = name[: -len(Path(name).suffix) or None], Path(name).suffix.lower()
    if suffix not in PAIRED:
        return []
    wanted = {f"{stem}{PAIRED[suffix]}{end}".lower() for end in ("", ".gz")}
    found = [file.name for file in sorted(path.parent.iterdir()) if file.name.lower() in wanted]
    return found or [f"{stem}{PAIRED[suffix]}"]
