"""A launch that is refused lists no run, and a single run says where its result is."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from composing import composed
from mandseg.runs.grid_file import add_to_grid, no_run_in, read_grid
from mandseg.runs.launchers.grid import Launch, list_cells, withdrawn_if_refused
from mandseg.system.errors import UserError
from study_fixture import write_study


def cell(study: Path, run: str) -> SimpleNamespace:
    return SimpleNamespace(study=study, run=run, folder=study / run)


def test_cells_that_a_launcher_refuses_leave_the_grid_unless_they_began(tmp_path):
    study = tmp_path / "s"
    add_to_grid(study, [dict.fromkeys(("run", "overrides"), name) for name in ("former", "new", "began")])
    (study / "began").mkdir()
    with (
        pytest.raises(UserError, match="no partition"),
        withdrawn_if_refused([cell(study, "new"), cell(study, "began")]),
    ):
        raise UserError("no partition")
    assert [row["run"] for row in read_grid(study)] == ["former", "began"]


def test_a_study_whose_runs_were_all_refused_says_so(tmp_path):
    add_to_grid(tmp_path / "s", [{"run": "new"}])
    with pytest.raises(UserError, match="no partition"), withdrawn_if_refused([cell(tmp_path / "s", "new")]):
        raise UserError("no partition")
    assert no_run_in(tmp_path / "s") == "its grid.csv lists no run; start the trainings again"


def test_a_single_run_ends_with_its_folder_and_the_next_command(tmp_path, capsys):
    study = write_study(tmp_path / "s", loss={0.0: 0.0}, seeds=(0,), n_cases=2)
    launch = Launch()
    launch.cells = [cell(study, "ratio0-seed0")]
    launch.on_run_end(OmegaConf.create())
    assert capsys.readouterr().out.splitlines() == [f"done: {study}/ratio0-seed0", f"next: mandseg report {study}"]


def test_gpus_that_are_not_here_are_refused_before_the_run_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("mandseg.runs.ddp.devices._gpus", lambda: 0)
    words = ["trainer=gpu", f"output_dir={tmp_path}/outputs"]
    cells = [SimpleNamespace(cfg=composed(*words), study=tmp_path / "s", run="r", folder=tmp_path / "s" / "r")]
    monkeypatch.setattr("mandseg.runs.launchers.grid.refuse_changed", lambda cells: None)
    with pytest.raises(UserError, match="0 GPUs found; trainer=auto takes what is there"):
        list_cells(cells)
    assert not (tmp_path / "s").exists()
