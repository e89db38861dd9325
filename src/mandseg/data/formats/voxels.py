"""Reads voxels from raw, packed and text files: no more than the header claims, and packed ones to their checksum."""

import bz2
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from mandseg.system.errors import in_plain_words
from mandseg.system.wording import count

Packing = Literal["raw", "deflate", "bzip2", "text"]

LARGEST_PACKED_BYTES = (
    4 << 30
)  # of the unpacked voxels: 512 x 512 x 8,000 of int16; raw files are bounded by their size
CHUNK = 1 << 16  # bytes; they unpack to at most 66 MB
GZIP_MAGIC = b"\x1f\x8b"
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


@dataclass(frozen=True)
class Voxels:
    """Where the voxels of an image lie.

    Args:
        files: One file, or files of equally many voxels in the order of the last axis.
        dtype: Type of a voxel, with its byte order.
        packing: raw; deflate (gzip or zlib); bzip2; or text, numbers with white space between them.
        start: Bytes in a file before its data; -1: the data are the last bytes of the file.
        skipped_lines: Lines to leave out behind ``start``.
        skipped_bytes: Bytes of the unpacked data to leave out after that.
    """

    files: tuple[Path, ...]
    dtype: np.dtype[Any]
    packing: Packing = "raw"
    start: int = 0
    skipped_lines: int = 0
    skipped_bytes: int = 0

    def read(self, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
        """Read all voxels; the first axis is the fastest in the file.

        Returns:
            An array of the given shape in the machine's byte order.

        Raises:
            ValueError: The data are shorter than the shape needs, damaged, or packed and larger than 4 GiB.
            OSError: A file cannot be read.
        """
        n_voxels, n_files = prod(shape), len(self.files)
        self._check_claim(n_voxels)
        array = np.empty(n_voxels, self.dtype)  # memory is taken as it is filled, so an empty claim takes none
        for share, file in zip(np.split(array, n_files), self.files, strict=True):
            with file.open("rb") as opened:
                self._fill(share, opened, file.stat().st_size)
        return array.astype(self.dtype.newbyteorder("="), copy=False).reshape(shape, order="F")

    def _check_claim(self, n_voxels: int) -> None:
        needed, n_files = n_voxels * self.dtype.itemsize, len(self.files)
        if not n_files or n_voxels % n_files:
            raise ValueError(f"{count(n_voxels, 'voxel')} cannot lie in {n_files} files of equal length")
        if self.packing != "raw":
            if needed > LARGEST_PACKED_BYTES:
                raise ValueError(f"the header claims {needed / 2**30:.3g} GiB, a packed file may hold 4 GiB")
            return
        for file in self.files:
            held = file.stat().st_size - max(self.start, 0) - self.skipped_bytes
            if held < needed // n_files:
                raise ValueError(
                    f"{file.name} holds {count(max(held, 0), 'byte')} of voxels, expected {needed // n_files}"
                )

    def _fill(self, share: npt.NDArray[np.generic], file: BinaryIO, size: int) -> None:
        file.seek(size - share.nbytes if self.start < 0 else self.start)
        for _ in range(self.skipped_lines):
            file.readline()
        if self.packing == "text":
            share[:] = _numbers(file.read(), len(share), self.dtype)
            return
        pieces = {"raw": _raw, "deflate": _inflated, "bzip2": _bunzipped}[self.packing](file)
        into, filled = share.view(np.uint8), -self.skipped_bytes
        for piece in pieces:
            held = memoryview(piece)[max(-filled, 0) : max(len(into) - filled, 0)]
            into[max(filled, 0) : max(filled, 0) + len(held)] = held
            filled += len(piece)
            if self.packing == "raw" and filled >= len(into):
                return
        if filled < len(into):
            raise ValueError(f"{count(max(filled, 0), 'byte')} of voxels, expected {len(into)}")


def _raw(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(1 << 22):
        yield piece


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    """Unpack gzip (all members) or zlib; the checksum behind the data is compared. Bytes behind it are ignored."""
    unpacker, data = zlib.decompressobj(GZIP_OR_ZLIB), file.read(CHUNK)
    while data:
        try:
            yield unpacker.decompress(data)
        except zlib.error as error:
            raise ValueError(in_plain_words(error)) from error
        data = unpacker.unused_data or file.read(CHUNK)
        if unpacker.eof:
            if len(data) < len(GZIP_MAGIC):
                data += file.read(CHUNK)
            if not data.startswith(GZIP_MAGIC):
                return
            unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
    if not unpacker.eof:
        raise ValueError("the packed data end before their checksum")


def _bunzipped(file: BinaryIO) -> Iterator[bytes]:
    try:
        with bz2.open(file) as unpacked:
            while piece := unpacked.read(1 << 22):
                yield piece
    except (EOFError, OSError) as error:
        if getattr(error, "errno", None):  # of the disk
            raise
        raise ValueError("the packed data are damaged, or end before their checksum") from error


def _numbers(text: bytes, n: int, dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
    words = text.split(maxsplit=n)[:n]
    if len(words) < n:
        raise ValueError(f"{count(len(words), 'number')}, expected {n}")
    try:
        return np.array([float(word) for word in words]).astype(dtype)
    except ValueError as error:
        raise ValueError("a voxel is no number") from error
