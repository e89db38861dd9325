"""Only one module has the names in a run folder and the values of run.json: odd values are one line, no traceback."""

import ast
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

import mandseg
from composing import composed
from mandseg.runs import folder as names
from mandseg.runs.condition import condition, config_hash, earliest
from mandseg.runs.folder import RunFolder
from mandseg.runs.grid_file import GRID, add_to_grid
from mandseg.runs.record import RecordError, record_of
from mandseg.runs.run_name import name_of
from mandseg.runs.status import status
from mandseg.runs.study import open_study, read_pilot
from mandseg.statistics.columns import CONDITION, EARLIEST, LATER, NOT_STATED, USUAL
from mandseg.statistics.comparison import COMPARABLE
from mandseg.system.errors import UserError
from study_fixture import run_name, write_study

SOURCE = Path(mandseg.__file__).parent
NAMES = {
    *(names.RECORD, names.CONFIG, names.CASES, names.LOCK, names.CURVE, names.PLAN, names.NOISE_APPLIED),
    *(names.OVERLAYS, names.CHECKPOINTS, GRID),
}
OF_OTHER_FOLDERS = {
    "audit/page.py": {names.CASES},  # an audit's own table
    "data/importers/folder.py": {names.CASES},  # a table that a user's folder of images may hold
    "report/wandb/upload.py": {names.OVERLAYS},  # the setting tracking.overlays
    "report/folder.py": {names.CASES},  # the table of a report
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "demo", loss={0.0: 0.0, 0.5: 0.01}, seeds=(0, 1), datasets={"test": 0.9}, n_cases=3)


def edit_record(run: Path, **changes: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | changes))


def nested(depth: int) -> dict:
    return {"a": nested(depth - 1)} if depth else {}


def test_the_names_in_a_run_folder_stand_in_one_module():
    for file in SOURCE.rglob("*.py"):
        place = file.relative_to(SOURCE).as_posix()
        literals = {n.value for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Constant)}
        if place not in ("runs/folder.py", "runs/grid_file.py"):
            assert literals & NAMES <= OF_OTHER_FOLDERS.get(place, set()), place


GOOD = {"noise_ratio": 0.5, "seed": 1, "data": "phantom", "noise": "planning", "model": "unet", "method": "supervised"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"condition": GOOD | {"noise_ratio": "half"}}, "noise_ratio of the condition is 'half', expected a share"),
        ({"condition": GOOD | {"noise_ratio": float("nan")}}, "noise_ratio of the condition is nan"),
        ({"condition": GOOD | {"noise_ratio": 10**400}}, "noise_ratio of the condition is 1000"),
        ({"condition": GOOD | {"seed": 1.5}}, "seed of the condition is 1.5, expected a whole number"),
        ({"condition": GOOD | {"seed": True}}, "seed of the condition is True"),
        ({"condition": GOOD | {"model": ["unet"]}}, "model of the condition is ['unet'], expected a name"),
        ({"condition": GOOD | {"loss": 3}}, "loss of the condition is 3, expected a name"),
        ({"condition": GOOD | {"data": "\ud800"}}, r"data of the condition is '\ud800', expected a name"),
        ({"versions": ["0.1"]}, "versions is ['0.1'], expected versions by package"),
        ({"versions": {"torch": 2}}, "versions is {'torch': 2}"),
        ({"seconds": [1.0]}, "seconds is [1.0], expected seconds by phase"),
        ({"seconds": {"train": "long"}}, "seconds is {'train': 'long'}"),
        ({"seconds": {"train": 10**400}}, "seconds is {'train': 1000"),
        ({"content": {"training": "1a2b"}}, "content is {'training': '1a2b'}, expected digests"),
        ({"content": {"training": {"images": 7}}}, "content is {'training': {'images': 7}}"),
        ({"settings": ["steps"]}, "settings is ['steps']"),
        ({"settings": nested(60)}, "settings is {'a': {'a'"),
        ({"analysis": "dice"}, "analysis is 'dice', expected the group analysis"),
        ({"error": ["a"]}, "error is ['a'], expected a text"),
        ({"steps": "400"}, "steps is '400', expected a number of steps"),
        ({"n_noisy": -1}, "n_noisy is -1"),
        ({"n_rows": "6"}, "n_rows is '6'"),
        ({"started": 1}, "started is 1"),
        ({"precision": "foo"}, "precision is 'foo', expected a precision such as 32-true"),
        ({"test_precision": "auto"}, "test_precision is 'auto'"),
        ({"host": {"a": "\n"}}, "host is {'a': '"),
        ({"study": 5}, "study is 5"),
        ({"state": ["done"]}, "unknown state ['done']"),
        ({"wrong_input": "no"}, "wrong_input is 'no'"),
    ],
)
def test_a_value_of_another_kind_in_a_record_is_one_line(study, changes, line):
    run = study / run_name(0.5, 1)
    edit_record(run, **changes)
    state, reason, record = RunFolder(run).state()
    assert (state, record) == ("failed", None)
    assert reason.startswith(f"run.json: {line}")
    assert "\n" not in reason
    assert len(reason) < 200
    ledger = open_study(study).ledger.set_index("run")
    assert (ledger.state[run.name], ledger.reason[run.name]) == ("failed", reason)
    assert list(ledger.state).count("done") == 3
    assert status(study, Console(file=io.StringIO())) == 1
    assert not RunFolder(run).is_done()
    assert RunFolder(run).facts() == {}  # the next start begins a new record


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, '"done"', "17", "null", "\ufeff{}", "1" * 5000])
def test_a_record_of_another_structure_is_one_line(study, text):
    run = study / run_name(0.5, 1)
    (run / "run.json").write_text(text, encoding="utf-8")
    state, reason, _ = RunFolder(run).state()
    assert state == "failed"
    assert reason.startswith("run.json")
    assert "\n" not in reason
    assert status(study, Console(file=io.StringIO())) == 1


def test_null_and_a_missing_key_are_what_an_older_version_did_not_record(study):
    run = study / run_name(0.5, 1)
    edit_record(run, seconds=None, versions=None, content=None, settings=None, error=None, n_rows=None)
    record = RunFolder(run).record()
    assert record is not None
    assert (record.seconds, record.evaluated, record.wrong_input) == (None, None, False)
    assert open_study(study).counts()["done"] == 4


def test_done_needs_the_end_the_complete_cases_and_the_requested_tests(study):
    run = RunFolder(study / run_name(0.5, 1))
    edit_record(run.path, evaluated="1a2b3c4d", n_rows=3)
    assert run.is_done()
    assert run.is_done("1a2b3c4d")
    assert not run.is_done("ffffffff")
    whole = run.cases_file.read_bytes()
    run.cases_file.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    assert not run.is_done()
    run.cases_file.write_bytes(whole)
    edit_record(run.path, state="interrupted")
    assert not run.is_done()


def test_every_list_of_condition_columns_follows_from_one():
    found = condition(composed())
    assert tuple(found) == (*CONDITION, "config_hash")
    assert found["loss"] == "dice_ce"
    assert COMPARABLE == (
        "noise_ratio",
        "data",
        "noise",
        "model",
        "method",
        "loss",
        "clean_budget",
        "ranking",
        "variant",
    )
    assert tuple(earliest(found)) == (*EARLIEST, "config_hash")


def test_the_loss_is_no_part_of_a_runs_name():
    cfg = composed()
    found = condition(cfg)
    assert name_of(found) == f"ratio0_seed0_planning_unet_supervised_{config_hash(cfg)}"


def test_a_later_column_is_taken_from_the_settings_of_an_older_run_or_not_stated():
    old = {"condition": GOOD, "state": "done"}
    assert record_of(old).condition == GOOD | {"loss": NOT_STATED} | USUAL
    assert record_of(old | {"settings": {"loss.name": "focal"}}).condition["loss"] == "focal"
    assert record_of(old | {"condition": GOOD | {"loss": "gce"}}).condition["loss"] == "gce"
    with pytest.raises(RecordError, match="the condition lacks method"):
        record_of(old | {"condition": {key: value for key, value in GOOD.items() if key != "method"}})


def test_studies_and_tables_without_the_loss_are_read(study, tmp_path):
    opened = open_study(study)
    assert opened.counts()["done"] == 4
    assert set(opened.cases.loss) == {NOT_STATED}
    opened.cases.drop(columns=list(LATER)).to_csv(tmp_path / "cases.csv", index=False)
    assert set(read_pilot(tmp_path / "cases.csv").loss) == {NOT_STATED}


def test_runs_of_two_losses_are_two_arms(study):
    for seed in (0, 1):
        for ratio in (0.0, 0.5):
            condition_of_run = GOOD | {"noise_ratio": ratio, "seed": seed, "loss": ("dice_ce", "focal")[seed]}
            edit_record(study / run_name(ratio, seed), condition=condition_of_run)
    cases = open_study(study).cases
    assert set(zip(cases.seed, cases.loss, strict=True)) == {(0, "dice_ce"), (1, "focal")}


def test_a_grid_of_an_older_version_gets_the_new_column_and_keeps_its_rows(study):
    before = (study / GRID).read_text().splitlines()
    new = {"run": "new", **GOOD, "loss": "focal", "overrides": "loss=focal"}
    add_to_grid(study, [{key: str(value) for key, value in new.items()}])
    header, *rows = (study / GRID).read_text().splitlines()
    assert header == "run,noise_ratio,seed,data,noise,model,method,loss,clean_budget,ranking,overrides"
    assert len(rows) == len(before)
    assert rows[-1] == "new,0.5,1,phantom,planning,unet,supervised,focal,,,loss=focal"
    assert open_study(study).counts() == {"expected": 5, "done": 4, "running": 0, "failed": 0, "missing": 1}


def test_a_recorded_analysis_is_read_without_the_config(study):
    for run in study.glob("*/run.json"):
        edit_record(run.parent, analysis={"primary": "hd95_mm", "margins": {"hd95_mm": 2.0}})
        (run.parent / "config.yaml").unlink()
    declaration = open_study(study).declaration
    assert (declaration.primary, declaration.is_declared, declaration.notes) == ("hd95_mm", True, ())


def test_an_older_run_declares_its_analysis_in_the_config(study):
    for file in study.glob("*/config.yaml"):
        file.write_text("analysis:\n  primary: nsd_1mm\n  margins: {}\n")
    (study / run_name(0.5, 1) / "config.yaml").write_text("analysis: [\n")
    opened = open_study(study)
    assert (opened.declaration.primary, opened.declaration.is_declared) == ("nsd_1mm", True)
    assert opened.declaration.notes == ("1 of 4 runs declares no primary metric and no margins",)
    assert any(line.startswith(f"config.yaml of run {run_name(0.5, 1)} cannot be read") for line in opened.problems)


def test_a_grid_that_is_no_table_of_runs_is_one_line(study):
    (study / GRID).write_text("run,overrides\na,b\n")
    with pytest.raises(UserError, match=r"grid\.csv lacks the columns noise_ratio, seed, data, noise, model, method"):
        open_study(study)
