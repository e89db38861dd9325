"""A tiny world on disk: cohorts of 24-voxel CTs with a block of bone as the mandible."""

import gc
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandseg.data.case import Case
from mandseg.data.volume import Volume, write_volume
from read_once import compose_once, read_configs_once

read_configs_once()
compose_once()

SPACING_MM = 4.0  # a voxel has 0.064 ml
BONE = (slice(8, 17), slice(8, 17), slice(8, 17))  # 729 voxels, 46.656 ml: within the range of mandibles


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Objects that an import makes are never garbage: the search for garbage leaves them out."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Take away the handlers that a command in this process adds: they write to the streams of that test only."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Starts runs in a moment (warm_processes.py); one for all workers of pytest."""
    from warm_processes import shared_nursery

    base = tmp_path_factory.getbasetemp()
    with shared_nursery(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) as folder:
        yield folder


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report draws no figures: for tests of its other parts."""
    from mandseg.report.figure_set import FIGURES

    for part in FIGURES:
        monkeypatch.setitem(FIGURES, part, ())


@pytest.fixture
def affine() -> np.ndarray:
    """RAS+, 4 mm, origin at (-48, -48, -48) mm."""
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = -48
    return affine


@pytest.fixture
def ct() -> np.ndarray:
    """Air, a box of soft tissue in it and a block of bone in that; int16 HU, (24, 24, 24)."""
    hu = np.full((24, 24, 24), -1000, np.int16)
    hu[4:20, 4:20, 4:20] = 40
    hu[BONE] = 1000
    return hu


@pytest.fixture
def bone() -> np.ndarray:
    """Where the block of bone is."""
    mask = np.zeros((24, 24, 24), bool)
    mask[BONE] = True
    return mask


@pytest.fixture
def make_case(tmp_path: Path, ct: np.ndarray, bone: np.ndarray, affine: np.ndarray) -> Callable[..., Case]:
    """Write a case's files below tmp_path/cohort; every case gets a CT of its own by one odd voxel.

    ``image``, ``reference`` and ``noisy`` replace what is written: an array, or a Volume for another grid.
    """
    root = tmp_path / "cohort"

    def make(case_id: str = "a", split: str = "train", subject_id: str = "", **files: np.ndarray | Volume) -> Case:
        own = ct.copy()
        own[0, 0, 0] += len(list(root.glob("*_image.nii.gz")))
        paths = {}
        for name, array in ({"image": own, "reference": bone} | files).items():
            volume = array if isinstance(array, Volume) else Volume(array, affine)
            paths[name] = root / f"{case_id}_{name}.nii.gz"
            write_volume(paths[name], volume)
        return Case(case_id, subject_id or case_id, split, paths["image"], paths["reference"], paths.get("noisy"))

    return make


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A stand-in for the server of W&B on the loopback address, with a key for it."""
    from wandb_server import log_in, wandb_server

    with wandb_server() as server:
        log_in(monkeypatch, server.url)
        yield server
