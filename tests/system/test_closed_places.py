"""Folders that this user may not enter: one line, never a traceback. The superuser may enter all, so they are made."""

import os
from pathlib import Path

import numpy as np
import pytest

from command import run
from mandseg.evaluation.commissioning.phantom_series import write_phantom_series
from mandseg.evaluation.prediction.inputs import find_inputs

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    "words", [("status", "closed/s"), ("rank", "closed/c"), ("predict", "closed/s", ".", "--out=p")]
)
def test_a_place_in_a_closed_folder_is_one_line(words, tmp_path, monkeypatch, capsys: Capture):
    monkeypatch.chdir(tmp_path)
    stat = os.stat

    def closed(path, **options):
        if str(path).startswith("closed/"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", closed)
    code = run(*words)
    monkeypatch.undo()
    assert code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"mandseg: {words[1]}")
    assert err.endswith(": may not be opened; ask for the right to do so, or name another place\n")
    assert err.count("\n") == 1


def test_a_closed_folder_beside_the_series_is_an_image_that_is_refused(tmp_path, monkeypatch):
    """It may hold a patient: predicting the others in silence would lose it."""
    hu = np.full((24, 24, 12), -1000, np.int16)
    hu[4:20, 4:20] = 40
    write_phantom_series(tmp_path / "export" / "a" / "CT", hu, (2.0, 2.0, 2.0), (0, 0, 0))
    (tmp_path / "export" / "b").mkdir()
    scan = os.scandir

    def scandir(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = {one.name: one.problem for one in find_inputs([tmp_path / "export"])}
    assert found == {"CT": "", "b": "cannot be opened: a closed folder"}
