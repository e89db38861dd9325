"""Settings of the libraries that a training uses: known messages are silenced, and memory allocation is tuned."""

import ctypes
import logging
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

IGNORED_WARNINGS = (
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # Lightning 2.6 with torch 2.13
    "The number of training batches .* is smaller than the logging interval",
    "The '(train|val)_dataloader' does not have many workers",  # on a CPU, workers use the cores of the training
    "The `srun` command is available on your system but is not used",
    "Checkpoint directory .* exists and is not empty",  # a resumed run
    "You're resuming from a checkpoint that ended before the epoch ended",  # the sampler follows the step
    "Grad strides do not match bucket view strides",  # DDP and channels-last: of layers with one channel
    "It is recommended to use `self.log\\('val_dice', ..., sync_dist=True\\)`",  # every process has the whole mean
)


def import_libraries() -> None:
    """Import torchmetrics (for Lightning) and MONAI without packages that they import and that a training never uses.

    This is a quarter of the time until the first step. torchmetrics imports scipy.signal to give one function a second
    name, MONAI imports optuna with SQLAlchemy where a search (docs/scaling.md) is installed.
    """
    with _left_out("scipy.signal", ModuleType("unused")), _left_out("optuna", None):
        for package in ("torchmetrics", "monai.networks.nets"):
            import_module(package)


@contextmanager
def _left_out(name: str, substitute: ModuleType | None) -> Iterator[None]:
    """While the block runs, an import of a module that is not loaded yet finds a substitute, or with None nothing."""
    if name in sys.modules:
        yield
        return
    if substitute is not None:
        substitute.hamming = None  # type: ignore[attr-defined]  # the name that torchmetrics imports
    sys.modules[name] = substitute  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def tune_malloc() -> None:
    """Let glibc keep large blocks, which every step frees and allocates again: 15 to 40 % faster steps on a CPU."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 * 2**20)


def silence_libraries() -> None:
    """Silence known library messages: advertisements, device listings, deprecations."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
