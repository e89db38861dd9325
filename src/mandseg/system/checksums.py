"""Checksums beside files that this product keeps: damage and exchanged files are noticed before a file is used."""

import zlib
from pathlib import Path

from mandseg.system.files import write_text

SUFFIX = ".crc32"
CHUNK = 1 << 22  # bytes


def write_checksum(file: Path, name: str) -> None:
    """Write the checksum of a file beside it.

    Args:
        file: The file, complete.
        name: What the file is, e.g. ``entry/image.npy``; part of the checksum, so that exchanged files differ.
    """
    write_text(_beside(file), f"{_checksum(file, name):08x}\n")


def is_intact(file: Path, name: str) -> bool:
    """Whether a file is what its checksum was written for; False also where one of the two is missing."""
    try:
        return int(_beside(file).read_text(), 16) == _checksum(file, name)
    except (OSError, ValueError):
        return False


def _beside(file: Path) -> Path:
    return file.with_name(file.name + SUFFIX)


def _checksum(file: Path, name: str) -> int:
    total = zlib.crc32(name.encode())
    with file.open("rb") as opened:
        while piece := opened.read(CHUNK):
            total = zlib.crc32(piece, total)
    return total
