"""An image whose header turns the patient: check warns, and a training warns at each start without reading it again."""

import logging
from pathlib import Path

import numpy as np
import pytest

from bone_network import anatomy
from mandseg.data import cache as cases_cache
from mandseg.data.cache import prepare_cases
from mandseg.data.case import Case
from mandseg.data.check import inspect_case
from mandseg.data.preprocessing import Preprocessing
from mandseg.data.volume import Volume, write_volume

UPSIDE_DOWN, BACK_TO_FRONT = (1, 1, -1), (1, -1, 1)


@pytest.fixture
def turned(tmp_path: Path):
    def make(signs: tuple[int, int, int]) -> Case:
        """A case whose affine has other signs than its voxels."""
        ct = anatomy()
        affine = ct.affine @ np.diag([*signs, 1.0])
        write_volume(tmp_path / "ct.nii.gz", Volume(ct.array.astype(np.int16), affine))
        write_volume(tmp_path / "bone.nii.gz", Volume((ct.array == 900).astype(np.uint8), affine))
        return Case("a", "A", "train", tmp_path / "ct.nii.gz", tmp_path / "bone.nii.gz", None)

    return make


def doubts(case: Case) -> list[str]:
    return [f.line for f in inspect_case(case).findings if "lies as no mandible does" in f.line]


def test_check_warns_of_a_mandible_that_is_upside_down_or_turned_round(turned):
    assert doubts(turned((1, 1, 1))) == []
    (line,) = doubts(turned(UPSIDE_DOWN))
    assert line.startswith("case a: reference lies as no mandible does: its back lies ")
    assert line.endswith(" mm below its front: is the image upside down?")
    assert len(doubts(turned(BACK_TO_FRONT))) == 2
    assert "is front and back exchanged?" in doubts(turned(BACK_TO_FRONT))[1]


def test_a_training_warns_at_each_start_and_reads_the_image_once(turned, tmp_path, caplog, monkeypatch):
    case = turned(UPSIDE_DOWN)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            prepare_cases([case], Preprocessing((4.0, 4.0, 4.0)), tmp_path / "cache", workers=1)
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith("1 of 1 case lies as no mandible does, e.g. case a, its back lies ")
        monkeypatch.setattr(cases_cache, "load_case", None)  # the second start must not read the image


def test_a_training_prints_no_warning_for_an_upright_mandible(turned, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        prepare_cases([turned((1, 1, 1))], Preprocessing((4.0, 4.0, 4.0)), tmp_path / "cache", workers=1)
    assert caplog.records == []
