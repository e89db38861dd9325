"""The ledger has every run with its state and reason, and the table has the scores of the done runs."""

import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from mandseg.runs.forget import forget_runs
from mandseg.runs.status import next_step, status
from mandseg.runs.study import open_study
from mandseg.statistics.comparison import split_arms
from mandseg.system.errors import UserError
from mandseg.system.lock import locked
from study_fixture import add_to_grid, case_row, run_name, write_run, write_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "demo", loss={0.0: 0.0, 0.5: 0.01}, seeds=(0, 1), datasets={"test": 0.9}, n_cases=3)


def run_of(study: Path, ratio: float = 0.5, seed: int = 1) -> Path:
    return study / run_name(ratio, seed)


def state_of(study: Path, run: Path) -> tuple[str, str]:
    ledger = open_study(study).ledger.set_index("run")
    return str(ledger.state[run.name]), str(ledger.reason[run.name])


def edit_record(run: Path, **changes: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | changes))


def printed_status(study: Path) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=200)
    code = status(study, console)
    return code, console.file.getvalue()


def test_done_runs_become_one_table_with_a_row_per_run_data_set_and_case(study):
    opened = open_study(study)
    assert opened.counts() == {"expected": 4, "done": 4, "running": 0, "failed": 0, "missing": 0}
    assert len(opened.cases) == 2 * 2 * 3
    assert not opened.cases.duplicated(["run", "dataset", "case_id"]).any()
    assert opened.problems == ()


def test_ledger_has_noisy_labels_and_cost(study):
    row = open_study(study).ledger.set_index("run").loc[run_name(0.5, 1)]
    assert (row.n_noisy, row.n_training) == (5, 10)
    assert (row.prepare_s, row.train_s, row.evaluate_s, row.steps) == (1.5, 41.0, 6.0, 400)


def test_the_cost_of_a_training_is_that_of_all_its_stages_and_their_labels(study):
    seconds = {"prepare": 1.5, "train/warm-up": 10.0, "relabel/corrected": 2.5, "train/corrected": 20.0}
    edit_record(run_of(study), seconds=seconds)
    row = open_study(study).ledger.set_index("run").loc[run_of(study).name]
    assert (row.prepare_s, row.train_s) == (1.5, 32.5)
    assert pd.isna(row.evaluate_s)


def test_status_is_zero_when_all_is_done_and_one_when_not(study):
    assert printed_status(study)[0] == 0
    add_to_grid(study, 1.0, 0)
    code, text = printed_status(study)
    assert code == 1
    assert "ratio1-seed0" in text
    assert "not started" in text


def test_failed_run_is_shown_with_its_reason(study):
    edit_record(run_of(study), state="failed", error="loss is [nan]\nat step 7")
    assert state_of(study, run_of(study)) == ("failed", "loss is [nan] at step 7")
    assert "loss is [nan] at step 7" in printed_status(study)[1]


def test_run_with_a_held_lock_is_running_and_with_a_free_one_interrupted(study):
    run = run_of(study)
    edit_record(run, state="running", ended=None)
    with locked(run / "run.lease"):
        assert state_of(study, run) == ("running", "")
    state, reason = state_of(study, run)
    assert state == "missing"
    assert reason.startswith("interrupted")


def test_run_that_holds_its_lock_but_has_not_written_its_record_is_running(study):
    add_to_grid(study, 1.0, 0)
    run = run_of(study, 1.0, 0)
    run.mkdir()
    with locked(run / "run.lease"):
        assert state_of(study, run)[0] == "running"
    assert state_of(study, run) == ("missing", "stopped before it wrote run.json")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("run.json", '{"state": "do', "run.json cannot be read"),
        ("run.json", "[]", "run.json holds no condition"),
        ("run.json", '{"state": "done", "condition": {"seed": 1}}', "run.json: the condition lacks noise_ratio, data"),
        ("cases.csv", "", "cases.csv is empty"),
        ("cases.csv", "run,dataset\n", "cases.csv lacks the columns noise_ratio"),
        ("cases.csv", b"\xff\xfe\x00", "cases.csv cannot be read"),
        ("cases.csv", 'run,"dataset\nx', "cases.csv"),
        ("cases.csv", None, "cases.csv is missing"),
    ],
)
def test_half_written_file_is_one_line_and_the_run_failed(study, name, content, reason):
    file = run_of(study) / name
    file.unlink() if content is None else file.write_bytes(content if isinstance(content, bytes) else content.encode())
    state, line = state_of(study, run_of(study))
    assert state == "failed"
    assert line.startswith(reason)
    assert "\n" not in line
    assert printed_status(study)[0] == 1


def test_cases_cut_in_the_middle_of_a_row_leave_the_run_out(study):
    file = run_of(study) / "cases.csv"
    file.write_text(file.read_text()[:-180])
    state, _ = state_of(study, run_of(study))
    problems = open_study(study).problems
    assert state == "failed" or any(run_of(study).name in line for line in problems)


def test_cases_of_another_condition_are_refused(study):
    shutil.copy(run_of(study, 0.0, 1) / "cases.csv", run_of(study) / "cases.csv")
    assert state_of(study, run_of(study)) == ("failed", "cases.csv: noise_ratio 0.0 differs from run.json's 0.5")


def test_case_that_is_there_twice_is_refused(study):
    rows = [case_row(1.0, 0, "test", "a", 0.9), case_row(1.0, 0, "test", "a", 0.8)]
    assert state_of(study, write_run(study, 1.0, 0, rows)) == (
        "failed",
        "cases.csv: case a of data set test occurs twice",
    )


def test_value_that_is_no_number_is_left_out_and_reported(study):
    rows = [case_row(1.0, 0, "test", f"test_{k:03d}", 0.9) for k in range(3)]
    rows[1]["hd95_mm"] = "inf"
    write_run(study, 1.0, 0, rows)
    opened = open_study(study)
    assert opened.problems == ("run ratio1-seed0: 1 of 3 values of hd95_mm left out, no number",)
    assert opened.cases.hd95_mm.isna().sum() == 1


def test_a_column_of_a_pooled_table_in_a_run_is_no_obstacle(study):
    cases = pd.read_csv(run_of(study) / "cases.csv").assign(variant="a", noise="b")
    cases.to_csv(run_of(study) / "cases.csv", index=False)
    assert set(open_study(study).cases.variant) == {""}


def test_run_that_lacks_cases_of_the_others_is_reported(study):
    write_run(study, 1.0, 0, [case_row(1.0, 0, "test", "test_000", 0.9)])
    assert open_study(study).problems == ("run ratio1-seed0: 1 of 3 cases of data set test",)


def test_folder_that_the_grid_does_not_list_is_counted_all_the_same(study):
    grid = study / "grid.csv"
    grid.write_text("".join(grid.read_text().splitlines(keepends=True)[:-1]))
    opened = open_study(study)
    assert opened.counts()["done"] == 4
    assert opened.problems == (f"not listed in grid.csv, but included: {run_name(0.5, 1)}",)


def test_study_without_a_grid_counts_what_it_finds(study):
    (study / "grid.csv").unlink()
    opened = open_study(study)
    assert opened.counts()["expected"] == 4
    assert opened.problems == ("grid.csv is missing: only runs with a folder are counted",)


def test_identifiers_stay_text(study):
    write_run(study, 1.0, 0, [case_row(1.0, 0, "NA", "007", 0.9)])
    cases = open_study(study).cases
    assert ("NA", "007") in set(zip(cases.dataset, cases.case_id, strict=True))


def test_same_condition_with_other_settings_becomes_another_arm(study):
    twin = study / "wide-ratio0.5-seed1"
    shutil.copytree(run_of(study), twin)
    (twin / "cases.csv").write_text((twin / "cases.csv").read_text().replace(run_of(study).name, twin.name))
    row = f"{twin.name},0.5,1,phantom,planning,unet,supervised,noise_ratio=0.5 seed=1 model.width=64\n"
    (study / "grid.csv").write_text((study / "grid.csv").read_text() + row)
    ledger = open_study(study).ledger.set_index("run")
    assert ledger.variant[twin.name] == "model.width=64"
    assert ledger.variant[run_of(study).name] == ""
    assert open_study(study).problems == ()


def test_same_condition_twice_is_used_once_and_reported(study):
    twin = study / "again"
    shutil.copytree(run_of(study), twin)
    opened = open_study(study)
    assert len(opened.cases) == 12
    assert (
        opened.problems[-1]
        == f"the same condition was run more than once, the first is used: {run_name(0.5, 1)}, again"
    )


def test_runs_in_other_arithmetic_are_reported(study):
    """With precision=auto the machine decides, and two machines of a cluster may decide differently."""
    edit_record(run_of(study), precision="bf16-mixed")
    line = f"runs of different precisions, all included: 32-true (3 runs); bf16-mixed ({run_of(study).name})"
    assert open_study(study).problems == (line,)
    assert line in printed_status(study)[1]


def test_runs_of_another_study_or_of_other_code_are_reported(study):
    versions = {"mandseg": "0.1.0", "torch": "2.13.0", "code": "def5678"}
    edit_record(run_of(study), study="elsewhere", versions=versions)
    lines = (
        f"runs of different studies, all included: demo (3 runs); elsewhere ({run_of(study).name})",
        f"runs of different code versions, all included: abc1234 (3 runs); def5678 ({run_of(study).name})",
    )
    assert open_study(study).problems == lines
    assert all(line in printed_status(study)[1] for line in lines)


def test_study_that_was_renamed_is_no_mixture(study):
    renamed = study.rename(study.with_name("other"))
    assert open_study(renamed).problems == ()


def test_status_reads_no_score(study, monkeypatch):
    monkeypatch.setattr("pandas.read_csv", lambda *_, **__: pytest.fail("a table was read"))
    monkeypatch.setattr(
        "mandseg.runs.status.read_expected_runs", lambda path, _: pd.DataFrame({"run": [run_of(path).name]})
    )
    assert printed_status(study)[0] == 0


def test_status_lists_the_first_of_many_open_runs(study, monkeypatch):
    monkeypatch.setattr("mandseg.runs.status.LISTED_RUNS", 2)
    for seed in (7, 8, 9):
        add_to_grid(study, 1.0, seed)
    code, text = printed_status(study)
    assert code == 1
    assert "ratio1-seed8" in text
    assert "ratio1-seed9" not in text
    assert "and 1 more" in text


def test_declared_analysis_comes_with_the_study(study):
    assert open_study(study).declaration.notes == (
        "no run declares a primary metric or margins: the defaults are used",
    )
    for config in study.glob("*/config.yaml"):
        config.write_text(config.read_text() + "analysis:\n  primary: hd95_mm\n  margins: {}\n")
    declaration = open_study(study).declaration
    assert (declaration.primary, declaration.is_declared, declaration.notes) == ("hd95_mm", True, ())


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.mkdir(), "holds no run"),
        (lambda folder: (folder.mkdir(), (folder / "grid.csv").write_text("run,seed\n")), "grid.csv lacks the columns"),
    ],
    ids=["no folder", "empty folder", "broken grid"],
)
def test_what_is_no_study_is_a_user_error(tmp_path, prepare, message):
    prepare(tmp_path / "study")
    with pytest.raises(UserError, match=message):
        open_study(tmp_path / "study")


def test_cases_cut_at_the_end_of_a_row_are_noticed_by_the_number_that_the_run_wrote(study):
    run = run_of(study)
    edit_record(run, n_rows=3)
    assert state_of(study, run) == ("done", "")
    lines = (run / "cases.csv").read_text().splitlines(keepends=True)
    (run / "cases.csv").write_text("".join(lines[:-1]))
    reason = "cases.csv has 2 rows, the run wrote 3"
    assert state_of(study, run) == ("failed", reason)
    assert printed_status(study)[0] == 1
    assert reason in printed_status(study)[1]


def test_runs_of_other_settings_are_not_paired_and_what_differs_is_listed(study):
    for seed in (0, 1):
        edit_record(run_of(study, 0.0, seed), settings={"steps": 4.0})
        edit_record(run_of(study, 0.5, seed), settings={"steps": 40.0})
    opened = open_study(study)
    assert set(opened.cases.variant[opened.cases.noise_ratio == 0.5]) == {"steps=40"}
    assert len(split_arms(opened.cases)) == 2
    line = "runs that differ in steps are not compared with each other: 4 (ratio0-seed0, ratio0-seed1); 40 ("
    assert opened.arm_differences[0].startswith(line)
    assert line in printed_status(study)[1]


def test_runs_from_other_labels_are_not_paired_and_both_digests_are_reported(study):
    edit_record(run_of(study, 0.0, 1), content={"test": {"references": "aaaaaaaaaaaa"}})
    edit_record(run_of(study), content={"test": {"references": "bbbbbbbbbbbb"}})
    opened = open_study(study)
    assert len(split_arms(opened.cases)) == 3
    line = "runs from different test references are not compared with each other: aaaaaaaaaaaa (ratio0-seed1); bbbb"
    assert opened.problems[0].startswith(line)
    assert line in printed_status(study)[1]


def test_older_runs_from_other_prepared_cases_are_reported(study):
    edit_record(run_of(study, 0.0, 1), cohort="aaaaaaaaaaaa")
    edit_record(run_of(study), cohort="bbbbbbbbbbbb")
    assert open_study(study).problems == (
        "runs of different prepared training cases, all included: aaaaaaaaaaaa (ratio0-seed1); "
        "bbbbbbbbbbbb (ratio0.5-seed1)",
    )


def test_a_ratio_with_too_few_cases_is_reported(study):
    rows = ["case_id,annotator,label", "t0,a,reference", "t1,a,reference"]
    for seed in (0, 1):
        (run_of(study, 0.5, seed) / "noise_plan.csv").write_text("\n".join(rows) + "\n")
        edit_record(run_of(study, 0.5, seed), n_noisy=0, n_training=2)
    line = "noise_ratio=0.5: 0 of 2 training cases have the noisy label, a share of 0.000"
    assert open_study(study).problems == (line,)
    assert line in printed_status(study)[1]


def test_brackets_in_names_are_no_markup(study):
    renamed = study.rename(study.with_name("study [v1]"))
    edit_record(run_of(renamed), state="failed", error="x")
    run_of(renamed).rename(renamed / "run [v2]")
    text = printed_status(renamed)[1]
    assert "Study study [v1]" in text
    assert "run [v2]" in text


def test_a_withdrawn_run_is_no_longer_expected_and_its_folder_is_kept(study):
    missing, failed = run_name(0.5, 0), run_name(0.5, 1)
    for run in (missing, failed):
        (study / run / "cases.csv").unlink()
    record = json.loads((study / failed / "run.json").read_text())
    (study / failed / "run.json").write_text(json.dumps(record | {"state": "failed", "error": "no GPU"}))
    shutil.rmtree(study / missing)
    assert status(study, Console(file=io.StringIO())) == 1
    lines = forget_runs(study, [missing, failed])
    assert lines[0] == f"{missing}: withdrawn"
    assert lines[1].startswith(f"{failed}: withdrawn; its folder is now {study}/replaced/{failed}-")
    assert status(study, Console(file=io.StringIO())) == 0
    (kept,) = (study / "replaced").iterdir()
    assert json.loads((kept / "run.json").read_text())["error"] == "no GPU"


def test_only_known_runs_that_are_not_done_are_withdrawn_all_or_none(study):
    before = (study / "grid.csv").read_bytes()
    done = run_name(0.5, 0)
    with pytest.raises(UserError, match=f"run {done}: is done") as refusal:
        forget_runs(study, [done, done[:-1]])
    assert refusal.value.problems[1].startswith(f"run {done[:-1]}: not in study {study}; did you mean {done[:-1]}")
    assert (study / "grid.csv").read_bytes() == before


def test_names_of_two_variants_are_printed_whole_on_a_narrow_terminal(study):
    twins = [f"ratio0.5_seed0_planning_attention_unet_confident_learning_{end}" for end in ("1a2b3c4d", "5e6f7a8b")]
    (study / run_name(0.5, 0)).rename(study / twins[0])
    shutil.copytree(study / twins[0], study / twins[1])
    for twin in twins:
        edit_record(study / twin, state="failed", error="no GPU on this machine, and more words than a column holds")
    console = Console(file=io.StringIO(), width=60)
    status(study, console)
    rows = [line.split("│") for line in console.file.getvalue().splitlines() if line.count("│") == 4]
    printed = "".join(row[1].strip() for row in rows)
    assert all(twin in printed for twin in twins)


def test_a_launch_ends_with_what_comes_next(study):
    assert next_step(study) == f"next: mandseg report {study}"
    (run_of(study) / "cases.csv").unlink()
    assert next_step(study) == (f"next: repeat the command, 1 run is not done; mandseg report {study} uses the others")


def test_a_folder_of_studies_is_answered_with_the_studies_in_it(tmp_path):
    (tmp_path / "b run" / "ratio0").mkdir(parents=True)
    (tmp_path / "b run" / "ratio0" / "run.json").write_text("{}")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "grid.csv").write_text("")
    for read in (open_study, status):
        with pytest.raises(UserError, match=f"; name a study in it: {tmp_path / 'a'}, {tmp_path / 'b run'}$"):
            read(tmp_path)
