"""Reads the text header of NRRD and MetaImage: its fields, and the names of data files in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from mandseg.system.errors import UserError

HEADER_BYTES = 1 << 20  # longer than the longest list of slices; no header is read beyond
LONGEST_NAME = 200  # bytes of a file name, less room for the numbers of a pattern
NRRD_MAGIC = re.compile(r"NRRD000\d")
EMPTY_LINE = re.compile("")
META_FIELD = re.compile(r"(\w+)\s*[=:]\s*(.*)")
META_LOCAL = re.compile(r"ElementDataFile\s*[=:]\s*LOCAL", re.IGNORECASE)  # the voxels follow
LISTED = re.compile(r"LIST(\s+\d+)?", re.IGNORECASE)
NUMBERED = re.compile(r"([^\s%]*)%(0?)(\d{0,2})[di]([^\s%]*)((?:\s+-?\d{1,9})*)")


@dataclass(frozen=True)
class TextHeader:
    """Fields of a header.

    Args:
        fields: Values by name; names of NRRD in small letters.
        data_names: Names of the data files beside the header; none if the voxels follow it in the same file.
        end: Position of the first byte behind the header.
    """

    fields: dict[str, str]
    data_names: tuple[str, ...]
    end: int


def read_nrrd(path: Path) -> TextHeader:
    """Read the header of .nrrd or .nhdr.

    Raises:
        ValueError: It is no NRRD header, or a data file has no plain name.
    """
    lines, end = _lines(path, EMPTY_LINE)
    if not lines or not NRRD_MAGIC.fullmatch(lines[0]):
        raise ValueError("the first line is not NRRD0001 to NRRD0009")
    fields: dict[str, str] = {}
    names: list[str] = []
    for number, line in enumerate(lines[1:], 2):
        key, colon, value = line.partition(":")  # no pattern: it would try each blank of a long line
        if line.startswith("#") or not colon or not key.strip() or value.startswith("="):  # "key:=value" is free text
            continue
        name, value = key.rstrip().lower(), value.lstrip()
        fields.setdefault(name, value)
        if name in ("data file", "datafile"):
            names = data_names(value, lines[number:])
            if LISTED.fullmatch(value):
                break  # the other lines are the names
    return TextHeader(fields, tuple(names), end)


def read_metaimage(path: Path) -> TextHeader:
    """Read the header of .mha or .mhd.

    Raises:
        ValueError: It is no MetaImage header, or a data file has no plain name.
    """
    lines, end = _lines(path, META_LOCAL)
    fields: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if match := META_FIELD.fullmatch(line):
            fields.setdefault(match[1], match[2].strip())
        if value := fields.get("ElementDataFile"):
            if value.upper() == "LOCAL":
                return TextHeader(fields, (), end)
            slices = re.search(r"(\d{1,9})$", fields.get("DimSize", ""))
            return TextHeader(fields, tuple(data_names(value, lines[number:], int(slices[1]) if slices else 0)), end)
    raise ValueError("no line ElementDataFile")


def _lines(path: Path, last_line: re.Pattern[str]) -> tuple[list[str], int]:
    """Read the lines of a header up to and with the one that matches, or to the end of the file."""
    lines: list[str] = []
    with path.open("rb") as file:
        while file.tell() < HEADER_BYTES and (line := file.readline(HEADER_BYTES)):
            lines.append(line.decode("utf-8", "surrogateescape").strip())
            if last_line.fullmatch(lines[-1]):
                return lines, file.tell()
        if file.tell() >= HEADER_BYTES:
            raise ValueError(f"the header does not end within {HEADER_BYTES} bytes")
        return lines, file.tell()


def data_names(value: str, following: list[str], n_slices: int = 0) -> list[str]:
    """Resolve one name, LIST with one name a line, or a numbered pattern ``ct%03d.raw 1 24 1``.

    Args:
        value: What the header gives as its data file.
        following: The lines of the header behind it.
        n_slices: How many files a pattern without a last number stands for.

    Raises:
        ValueError: A name is no plain name of a file beside the header, or a pattern stands for too many files.
    """
    if LISTED.fullmatch(value):
        return [_beside(line) for line in following if line]
    if match := NUMBERED.fullmatch(value):
        before, zero, width, after, numbers = match.groups()
        counted = _counted([int(number) for number in numbers.split()], n_slices)
        return [_beside(f"{before}{number:{zero}{width}d}{after}") for number in counted]
    return [_beside(value)]


def existing(path: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """Return the data files beside a header.

    Raises:
        UserError: A file is missing.
    """
    files = tuple(path.parent / name for name in names)
    if missing := [file.name for file in files if not file.is_file()]:
        raise UserError(f"{path}: its data file {missing[0]} is missing")
    return files


def _beside(name: str) -> str:
    """Refuse a name that leaves the folder of the header: such a header could read any file of the machine."""
    plain = name.removeprefix("./")
    leaves = PureWindowsPath(plain).name != plain or plain in (".", "..")
    n_bytes = len(plain.encode("utf-8", "surrogateescape"))
    if leaves or not 0 < n_bytes <= LONGEST_NAME or "%" in plain or "\0" in plain:
        raise ValueError(f"its data file {name[:80]!r} is no plain name of a file beside the header")
    return plain


def _counted(numbers: list[int], n_slices: int) -> range:
    """Give the numbers from the first to the last by a step; MetaImage may omit step, last and first."""
    first = numbers[0] if numbers else 1
    last = numbers[1] if len(numbers) > 1 else first + n_slices - 1
    step = (numbers[2] if len(numbers) > 2 else 0) or 1
    counted = range(first, last + (1 if step > 0 else -1), step)
    if len(counted) > HEADER_BYTES // 16:
        raise ValueError(f"its data files are numbered from {first} to {last}, which are too many")
    return counted
