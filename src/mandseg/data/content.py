"""Digests of image files: equal digests mean equal content, whatever the paths are.

The cache stores each digest under path, size, times of change and inode, so that a CT is read only once. This module
needs neither torch nor numpy, so that launchers can use it.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.image_files import files_of
from mandseg.system.errors import UserError
from mandseg.system.files import write_text

DIGEST = re.compile(r"[0-9a-f]{64}")
SETTLED_S = 2.0  # a younger file may still change without a new time stamp
COLUMNS = {"images": "image", "references": "reference", "noisy": "noisy"}


def content_digest(path: Path | None, cache: Path) -> str:
    """Hash the content of all files that make up one image.

    Args:
        path: The file in the manifest; a link is read, not resolved.
        cache: The cache folder; digests are stored in its folder ``digests``.

    Returns:
        64 hexadecimal digits; the empty string for None. An image in one file has that file's SHA-256.

    Raises:
        UserError: A file is missing or cannot be read.
    """
    if path is None:
        return ""
    digests = [_file_digest(file, cache) for file in files_of(path)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def cohort_digests(cases: Sequence[Case], cache: Path) -> dict[str, str]:
    """Combine the content of many cases into one digest for each kind of file.

    Args:
        cases: The cases, in any order.
        cache: The cache folder.

    Returns:
        ``images``, ``references`` and ``noisy``: the first 12 hexadecimal digits of the SHA-256 of the sorted lines
        ``case_id content_digest``; the empty string if no case has such a file.

    Raises:
        UserError: One line for each file that is missing.
    """
    lines: dict[str, list[str]] = {name: [] for name in COLUMNS}
    problems: list[str] = []
    for case in cases:
        try:
            for name, digest in zip(COLUMNS, case_digests(case, cache), strict=True):
                lines[name] += [f"{case.case_id} {digest}"] if digest else []
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    texts = {name: "\n".join(sorted(found)) for name, found in lines.items()}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:12] if text else "" for name, text in texts.items()}


def case_digests(case: Case, cache: Path) -> list[str]:
    """Give the digests of a case's image, reference and noisy label; the empty string for a file that it lacks.

    Raises:
        UserError: One line, with the case's name, for each file that is missing.
    """
    digests, problems = [], []
    for column, path in zip(COLUMNS.values(), (case.image, case.reference, case.noisy), strict=True):
        try:
            digests.append(content_digest(path, cache))
        except UserError as error:
            problems += [f"case {case.case_id}: {column} {line}" for line in error.problems]
    if problems:
        raise UserError(problems)
    return digests


def _file_digest(path: Path, cache: Path) -> str:
    stat = path.stat()
    identity = f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}|{stat.st_ino}"
    memo = cache / "digests" / hashlib.sha256(identity.encode()).hexdigest()[:24]
    if (known := _stored_digest(memo)) is not None:
        return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time() - stat.st_ctime > SETTLED_S:
        with suppress(OSError, UserError):  # without a stored digest, the next job reads the file again
            write_text(memo, digest)
    return digest


def _stored_digest(memo: Path) -> str | None:
    """Read a stored digest; None if it is missing or damaged."""
    try:
        text = memo.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return text if DIGEST.fullmatch(text) else None
