"""A result belongs to its images and labels: changes are reported, and one option repeats the run."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir

from mandseg.runs.condition import evaluation_hash
from mandseg.runs.folder import RunFolder
from mandseg.runs.launchers import local, slurm
from mandseg.runs.launchers.cells import Cell, cell_of, changed, unfinished
from mandseg.runs.launchers.grid import exit_code, refuse_changed
from mandseg.runs.origin import content_of
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError
from study_fixture import CASE_COLUMNS, case_row, write_csv
from tiny_cohort import words, write_tiny_cohort
from warm_processes import WarmProcesses


def correct(cohort: Path, case_id: str) -> None:
    """Give a case's reference the content of a noisy label."""
    (cohort / f"{case_id}_reference.nii.gz").write_bytes((cohort / "t0_noisy.nii.gz").read_bytes())


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    """A cell whose run is done, made from what the files hold."""
    write_tiny_cohort(tmp_path / "cohort")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cell = cell_of(compose("train", words(tmp_path / "cohort", tmp_path / "outputs")), [])
    cell.folder.mkdir(parents=True)
    rows = [case_row(0.5, 0, "test", case_id, 0.9) for case_id in "xyz"]
    write_csv(cell.folder / "cases.csv", rows, CASE_COLUMNS)
    record = {"run": cell.run, "study": "s", "condition": cell.condition, "state": "done", "n_rows": 3}
    record |= {"evaluated": evaluation_hash(cell.cfg), "content": content_of(cell.cfg)}
    (cell.folder / "run.json").write_text(json.dumps(record))
    return cell


def test_a_whole_done_run_is_not_run_again(cell):
    assert unfinished([cell]) == []
    assert exit_code([cell]) == 0


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-20]),
        lambda file: file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1])),
        lambda file: file.write_bytes(b"other\n" + file.read_bytes()),
    ],
    ids=["deleted", "empty", "cut in a row", "cut at a row", "another header"],
)
def test_a_run_whose_cases_are_not_whole_is_run_again_by_every_launcher_and_not_called_done(cell, harm):
    harm(cell.folder / "cases.csv")
    assert unfinished([cell]) == [cell]
    assert exit_code([cell]) == 1


@pytest.mark.parametrize("launcher", ["local", "slurm"])
def test_a_launcher_starts_a_run_whose_cases_were_deleted_and_no_whole_one(cell, launcher, monkeypatch, capsys):
    started: list[Cell] = []
    module = local if launcher == "local" else slurm
    monkeypatch.setattr(module, "command", lambda config, cell: [])
    if launcher == "local":
        monkeypatch.setattr(local, "run_all", lambda cells, commands, shares: started.extend(cells))
        settings = local.LocalSettings(1, 1)
    else:
        monkeypatch.setattr(slurm, "refuse_without_slurm", lambda: None)
        monkeypatch.setattr(slurm, "resources", lambda trainer, settings: slurm.Resources(1, 0))
        monkeypatch.setattr(slurm, "wait_for", lambda jobs: None)
        monkeypatch.setattr(slurm, "submit", lambda cells, *_: started.extend(cells) or ["1"])
        settings = SimpleNamespace(wait=True)
    module.launch([cell], settings, None)
    assert started == []
    (cell.folder / "cases.csv").unlink()
    module.launch([cell], settings, None)
    assert started == [cell]


def test_a_table_with_other_line_ends_is_whole(cell):
    file = cell.folder / "cases.csv"
    file.write_bytes(file.read_bytes().replace(b"\r\n", b"\n"))
    assert RunFolder(cell.folder).count_rows() == 3
    assert unfinished([cell]) == []


@pytest.mark.parametrize(("case_id", "name"), [("t1", "training"), ("v", "validation"), ("x", "test")])
def test_a_launch_refuses_a_done_run_whose_labels_changed(cell, tmp_path, case_id, name):
    old = content_of(cell.cfg)[name]["references"]
    correct(tmp_path / "cohort", case_id)
    new = content_of(cell.cfg)[name]["references"]
    assert changed([cell]) == {cell.folder: [f"{name} references {old}, now {new}"]}
    assert unfinished([cell]) == [cell]
    with pytest.raises(UserError, match=f"run {cell.run}: done on other images or labels .*{old}, now {new}"):
        refuse_changed([cell])


def test_a_launch_that_makes_changed_runs_again_is_not_refused(cell, tmp_path):
    correct(tmp_path / "cohort", "t1")
    cell.cfg.rerun = True
    refuse_changed([cell])
    assert unfinished([cell]) == [cell]


def test_a_run_of_an_older_version_is_done_without_a_message(cell, tmp_path):
    record = json.loads((cell.folder / "run.json").read_text())
    (cell.folder / "run.json").write_text(json.dumps({k: record[k] for k in record if k not in ("content", "n_rows")}))
    correct(tmp_path / "cohort", "t1")
    assert unfinished([cell]) == []


@pytest.mark.slow
def test_a_changed_run_is_refused_made_anew_and_kept(tmp_path, nursery):
    cohort, outputs = tmp_path / "cohort", tmp_path / "outputs"
    write_tiny_cohort(cohort)
    argv, warm_processes = words(cohort, outputs), WarmProcesses(tmp_path, nursery)
    assert warm_processes.run(argv) == 0, warm_processes.log.read_text()
    (run,) = (file.parent for file in outputs.glob("s/*/run.json"))
    first, cases = json.loads((run / "run.json").read_text()), (run / "cases.csv").read_bytes()
    weights = (run / "checkpoints" / "train" / "last.ckpt").read_bytes()
    assert first["n_rows"] == 3
    assert first["settings"]["steps"] == 12
    assert (first["condition"]["loss"], first["analysis"]) == ("dice_ce", {"primary": "dice", "margins": {}})

    # a table that was cut: tested again, not trained again
    (run / "cases.csv").write_bytes(cases[:-50])
    assert warm_processes.run(argv) == 0, warm_processes.log.read_text()
    assert RunFolder(run).count_rows() == 3
    assert (run / "checkpoints" / "train" / "last.ckpt").read_bytes() == weights

    # a corrected test label: said, then tested again
    correct(cohort, "x")
    assert warm_processes.run(argv) == 2
    (line,) = warm_processes.error_lines()
    assert line.startswith(f"mandseg: run {run.name}: done on other images or labels (test references ")
    assert json.loads((run / "run.json").read_text())["state"] == "done"
    assert warm_processes.run([*argv, "rerun=true"]) == 0, warm_processes.log.read_text()
    assert (run / "checkpoints" / "train" / "last.ckpt").read_bytes() == weights
    (kept,) = (outputs / "s" / "replaced").iterdir()
    assert json.loads((kept / "run.json").read_text())["content"] == first["content"]
    assert (kept / "cases.csv").exists()

    # a corrected training label: said, then trained anew, the old run kept whole
    correct(cohort, "t1")
    assert warm_processes.run(["-m", *argv]) == 2
    assert warm_processes.run(["-m", *argv, "rerun=true"]) == 0, warm_processes.log.read_text()
    second = json.loads((run / "run.json").read_text())
    assert second["content"]["training"]["references"] != first["content"]["training"]["references"]
    assert (run / "checkpoints" / "train" / "last.ckpt").read_bytes() != weights
    kept = sorted((outputs / "s" / "replaced").iterdir())[-1]
    assert (kept / "checkpoints" / "train" / "last.ckpt").read_bytes() == weights
    assert warm_processes.run([*argv, "rerun=true"]) == 0
    assert len(list((outputs / "s" / "replaced").iterdir())) == 2  # what did not change stays

    # a training that was cut short and went on to other labels
    other = [*argv, "seed=1"]
    assert warm_processes.run(other, ["step", 6, signal.SIGKILL]) == -signal.SIGKILL
    correct(cohort, "t2")
    assert warm_processes.run(other) == 2
    assert "begun on other images or labels (training references " in warm_processes.error_lines()[0]
    assert warm_processes.run([*other, "rerun=true"]) == 0, warm_processes.log.read_text()
    assert len(list((outputs / "s" / "replaced").iterdir())) == 3
