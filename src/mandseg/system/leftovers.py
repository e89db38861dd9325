"""Names of files and folders that are just being written, and the removal of what a killed writer left.

The name contains the machine and the process that writes. A leftover is removed when that process has died.
"""

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from functools import cache
from pathlib import Path

LEFTOVER = re.compile(r"[0-9a-f]{12}|[0-9a-f]{20}(?:\.old)?")  # 12 digits: as earlier versions named them
STALE_S = 86_400.0  # a leftover of another machine that did not change for a day has no living writer


@cache
def machine() -> str:
    """Six digits for this host since it was started, and for this container: where a process id means one process."""
    marks = [socket.gethostname()]
    for file, read in (("/proc/sys/kernel/random/boot_id", Path.read_text), ("/proc/self/ns/pid", os.readlink)):
        if Path(file).exists():
            marks.append(str(read(Path(file))))
    return hashlib.sha256("|".join(marks).encode()).hexdigest()[:6]


def part_of(path: Path) -> Path:
    """Name a hidden sibling that no other process uses, after machine and process."""
    return path.with_name(f".{path.name}.{machine()}{os.getpid():06x}{secrets.token_hex(4)}")


def is_part(path: Path) -> bool:
    """Whether a name is that of a file or folder that is just being written, or was when its writer was killed."""
    start, _, end = path.name.removesuffix(".old").rpartition(".")
    return start.startswith(".") and len(start) > 1 and LEFTOVER.fullmatch(end) is not None


def remove_leftovers(dest: Path) -> None:
    """Remove what killed writers of a folder left beside it; put back what one of them had just moved away."""
    start = f".{dest.name}."
    found = [path for path in dest.parent.iterdir() if path.name.startswith(start)]
    stale = [path for path in found if LEFTOVER.fullmatch(path.name[len(start) :]) and _is_stale(path, len(start))]
    for path in sorted(stale, key=lambda path: path.suffix != ".old"):
        if path.suffix == ".old" and not dest.exists():
            path.rename(dest)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _is_stale(path: Path, start: int) -> bool:
    """Whether the process that a leftover is named after has died here, or it did not change for a day."""
    mark = path.name[start:].removesuffix(".old")
    if len(mark) == 20 and mark[:6] == machine():
        try:
            os.kill(int(mark[6:12], 16), 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it lives, and is another user's
            return False
        return False
    try:
        inside = [Path(folder) / name for folder, _, files in os.walk(path) for name in files]
        touched = [part.lstat().st_mtime for part in (path, *inside)]
    except FileNotFoundError:  # its writer lives: something just took its name
        return False
    return time.time() - max(touched) > STALE_S
