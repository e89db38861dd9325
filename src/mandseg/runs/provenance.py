"""The origin of a result: time, host, versions, commit."""

import os
import platform
import socket
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import DEVNULL, CalledProcessError, check_output
from typing import Any

PACKAGES = ("mandseg", "torch", "lightning", "monai", "torchio", "numpy", "hydra-core")


def start_facts() -> dict[str, Any]:
    """The facts to record when a run starts or resumes."""
    return {
        "state": "running",
        "error": None,
        "started": now(),
        "ended": None,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "versions": versions(),
    }


def now() -> str:
    """The time, to the second, with its zone."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> dict[str, str]:
    """The versions that a result depends on: Python, packages, and the commit if the code is a checkout."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found | {"code": _commit()}


def _commit() -> str:
    """The commit of the checkout of this file, with a plus sign if files differ from it."""
    here = Path(__file__).parents[1]
    try:
        commit = check_output(["git", "-C", here, "rev-parse", "--short=12", "HEAD"], text=True, stderr=DEVNULL)
        changed = check_output(["git", "-C", here, "status", "--porcelain", "--", "."], text=True, stderr=DEVNULL)
    except (OSError, CalledProcessError):
        return "installed package"
    return commit.strip() + ("+" if changed.strip() else "")
