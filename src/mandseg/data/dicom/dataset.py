"""Reads DICOM files as pydicom data sets, completely or not at all.

No message quotes the path of a file or free text, because both may contain the name of a patient.
"""

import io
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mandseg.system.errors import UserError
from mandseg.system.wording import count as with_noun

MAGIC = b"DICM"  # after a preamble of 128 bytes
META_START = 144  # bytes: preamble, MAGIC and the element with the length of the file meta information
FIRST_TAGS = (b"\x02\x00", b"\x08\x00")  # the first bytes of a file without preamble
SUFFIXES = (".dcm", ".dicom", ".ima")
DAMAGED = "cannot be read, the file is damaged or truncated"
LARGEST_UNPACKED = 2**30  # bytes; a CT of 1,000 slices in one file has half of it
CHUNK = 2**20  # bytes


def walk(source: Path) -> list[Path]:
    """List everything below a folder that is no folder, sorted; links to folders are followed, each folder once.

    Links that lead nowhere, pipes and folders that cannot be opened are listed, too: nothing is dropped in silence.
    """
    found: list[Path] = []
    seen: set[str] = set()

    def closed(error: OSError) -> None:
        found.append(Path(error.filename))

    for folder, folders, names in os.walk(source, followlinks=True, onerror=closed):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        found += [Path(folder) / name for name in names]
    return sorted(found)


def looks_like_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its first bytes, or by its name if they are missing."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == MAGIC or path.suffix.lower() in SUFFIXES or _starts_with_identification(start)


def holds_dicom(folder: Path) -> bool:
    """Whether a file below a folder is DICOM; files that cannot be opened do not count."""
    for path in walk(folder):
        with suppress(OSError):
            if path.is_file() and looks_like_dicom(path):
                return True
    return False


@contextmanager
def quietly() -> Iterator[None]:
    """Silence pydicom's warnings about invalid values, because they quote the values."""
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def reading() -> Iterator[None]:
    """Context for access to data sets: warnings are silenced, and any error of broken bytes becomes one line.

    Raises:
        UserError: The block fails in any way.
    """
    with quietly():
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # pydicom converts values on access and raises many types
            raise UserError(DAMAGED) from error


def read_header(path: Path, tags: Sequence[str] | None = None) -> Dataset:
    """Read a file without its pixels; call it and use its result inside ``reading``.

    Args:
        path: The file.
        tags: Keywords of the elements to keep; all by default.

    Raises:
        UserError: The file is damaged or no DICOM.
    """
    return _read(path, path, stop_before_pixels=True, specific_tags=list(tags) if tags else None)


def read_dataset(path: Path) -> Dataset:
    """Read a complete file and refuse a truncated one, which pydicom accepts.

    Raises:
        UserError: The file is damaged, truncated or no DICOM.
    """
    file = _Watched(path.read_bytes())
    dataset = _read(path, file)
    if file.ended_early and "PixelData" not in dataset:  # read_ct checks the length of the pixels
        raise UserError(DAMAGED)
    return dataset


def text(dataset: Dataset, keyword: str) -> str:
    """Give an element as text, its values joined by backslashes; empty if it is absent."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    values = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
    return "\\".join(str(part) for part in values).strip(" \0")


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """Give an element as finite numbers.

    Raises:
        UserError: It is absent, has another count of values, or one is no finite number.
    """
    try:
        value = dataset.get(keyword)
        parts = value.split("\\") if isinstance(value, str) else value
        parts = parts if isinstance(parts, Sequence) and not isinstance(parts, bytes) else [parts]
        values = [] if value is None else [float(part) for part in parts]
    except (TypeError, ValueError):
        raise UserError(f"{keyword} holds no number, expected {count}") from None
    if len(values) != count:
        raise UserError(f"{keyword} has {with_noun(len(values), 'value')}, expected {count}")
    if any(part - part != 0 for part in values):
        raise UserError(f"{keyword} is {', '.join(f'{part:g}' for part in values)}, expected finite numbers")
    return tuple(values)


class _Watched(io.BytesIO):
    """A file in memory that records reads beyond its end."""

    ended_early = False

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is not None and 0 < len(data) < size:
            self.ended_early = True
        return data


def _read(path: Path, file: Path | io.BytesIO, **options: object) -> Dataset:
    with reading():
        is_bare = _has_no_preamble(path)
        if not is_bare:
            _refuse_bomb(path)
        dataset = pydicom.dcmread(file, force=is_bare, **options)  # type: ignore[arg-type]
        if not dataset.get("SOPClassUID") and "DirectoryRecordSequence" not in dataset:
            raise UserError(DAMAGED)
        if not dataset.file_meta.get("TransferSyntaxUID"):
            implicit, little = dataset.original_encoding
            dataset.file_meta.TransferSyntaxUID = (
                ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            )
        return dataset


def _refuse_bomb(path: Path) -> None:
    """Refuse a deflated file that unpacks to more than ``LARGEST_UNPACKED``; pydicom would unpack it whole."""
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    unpacked, stream = 0, zlib.decompressobj(-zlib.MAX_WBITS)
    with path.open("rb") as file:
        file.seek(META_START + int(meta.FileMetaInformationGroupLength))
        while not stream.eof and (packed := stream.unconsumed_tail or file.read(CHUNK)):
            unpacked += len(stream.decompress(packed, CHUNK))
            if unpacked > LARGEST_UNPACKED:
                raise UserError(f"unpacks to more than {LARGEST_UNPACKED / 2**30:g} GiB")


def _has_no_preamble(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] != MAGIC and _starts_with_identification(start)


def _starts_with_identification(start: bytes) -> bool:
    """Whether bytes begin with an existing element of group 2 or 8."""
    return start[:2] in FIRST_TAGS and start[3:4] == b"\0" and len(start) >= 8
