"""A run has one owner at a time, on any node; the lock of a dead owner is taken over; two launches share a grid."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mandseg.runs import ownership
from mandseg.runs.folder import LOCK
from mandseg.runs.ownership import LockRemovedError, OwnedRun, OwnershipLostError, RunInUseError, own_run
from mandseg.system import lock
from mandseg.system.errors import RunFailedError, UserError
from mandseg.system.lock import HeldError, is_held, lock_owner, locked
from tiny_cohort import words, write_tiny_cohort
from warm_processes import WarmProcesses

CONDITION = {"noise_ratio": 0.0, "seed": 0, "data": "d", "noise": "n", "model": "m", "method": "s"}
HOLD = "import sys, time; from pathlib import Path; from mandseg.system.lock import locked\n"
HOLD += "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"


@pytest.fixture
def quick(monkeypatch):
    """Locks that expire after a second and a half without a sign of life."""
    monkeypatch.setattr(lock, "LEASE_S", 1.5)
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.3)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds tmp_path/x."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "x")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def leave_behind(file: Path, host: str, silent_s: float) -> None:
    """The lock of a process on another host that was last heard of some time ago."""
    with locked(file):
        text = file.read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("host="))
    file.write_text(text.replace(line, f"host={host}"))
    then = time.time() - silent_s
    os.utime(file, (then, then))


def test_a_live_owner_is_named_and_keeps_the_lock(tmp_path, holder):
    file = tmp_path / "x"
    assert is_held(file)
    assert lock_owner(file).pid == holder.pid
    with pytest.raises(HeldError, match=f"process {holder.pid} on "), locked(file, patience_s=0.2):
        pass


def test_a_killed_owner_on_this_host_is_noticed_at_once_and_reported(tmp_path, holder, caplog):
    file = tmp_path / "x"
    holder.kill()
    holder.wait()
    assert file.exists()
    assert not is_held(file)
    start = time.monotonic()
    with locked(file, patience_s=5):
        assert lock_owner(file).pid == os.getpid()
    assert time.monotonic() - start < 2
    assert f"x: taken over from process {holder.pid} on " in caplog.text
    assert not file.exists()


def test_an_owner_on_another_host_without_heartbeat_loses_the_run_after_the_lease(tmp_path, quick, caplog):
    file = tmp_path / "x"
    leave_behind(file, "elsewhere", silent_s=3600)
    assert not is_held(file)
    with locked(file, patience_s=0.2):
        assert lock_owner(file).pid == os.getpid()
    assert "x: no sign of life from process" in caplog.text
    assert "on elsewhere for 3600 s; watching it" in caplog.text
    assert "x: taken over from process" in caplog.text


def test_an_owner_on_another_host_with_a_recent_heartbeat_keeps_the_lock(tmp_path):
    file = tmp_path / "x"
    leave_behind(file, "elsewhere", silent_s=60)
    assert is_held(file)
    with pytest.raises(HeldError, match="on elsewhere"), locked(file, patience_s=0.2):
        pass


def test_a_heartbeat_keeps_a_lock_alive_beyond_its_lease(tmp_path, quick):
    file = tmp_path / "x"
    with locked(file):
        time.sleep(2)
        assert lock_owner(file).silent_s < 1
        assert is_held(file)


def test_a_lock_whose_maker_was_killed_before_it_wrote_its_name_expires_too(tmp_path, quick):
    file = tmp_path / "x"
    file.touch()
    os.utime(file, (0, 0))
    with locked(file, patience_s=0.2):
        assert lock_owner(file).pid == os.getpid()


def test_a_process_whose_run_was_taken_over_writes_nothing_more_without_waiting_for_a_heartbeat(tmp_path):
    lock = tmp_path / "run" / LOCK
    with own_run(tmp_path / "run", "s", CONDITION) as owned:
        owned.update(state="running")
        marker = re.sub(r"(?m)^token=.*$", f"token={'0' * 32}", lock.read_text())
        lock.unlink()  # as another node does that saw no heartbeat
        lock.write_text(marker)
        with pytest.raises(OwnershipLostError, match="another process took the run over"):
            owned.update(state="done")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "running"


def test_a_run_whose_lock_file_was_removed_stops_with_a_message(tmp_path):
    with own_run(tmp_path / "run", "s", CONDITION) as owned:
        owned.update(state="running")
        (tmp_path / "run" / LOCK).unlink()
        with pytest.raises(LockRemovedError, match=r"run: its lock file .*run\.lease was removed while it worked"):
            owned.update(state="done")


def test_a_heartbeat_reports_a_lost_lock_to_a_process_that_writes_nothing(tmp_path, quick):
    with own_run(tmp_path / "run", "s", CONDITION) as owned:
        (tmp_path / "run" / LOCK).unlink()
        assert owned.lost.wait(5)


def test_a_run_whose_files_vanished_is_not_complete(tmp_path):
    with own_run(tmp_path / "run", "s", CONDITION) as owned:
        for file in (owned.files.config_file, owned.files.applied_file, owned.files.cases_file):
            file.write_text("x")
        with pytest.raises(RunFailedError, match=r"noise_plan\.csv vanished from .*run while the run worked; remove"):
            owned.check_complete()
        owned.files.plan_file.write_text("x")
        owned.check_complete()


def test_a_second_claim_is_refused_and_the_leftovers_of_a_killed_writer_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(ownership, "RELEASE_WAIT_S", 0.2)
    folder = tmp_path / "run"
    stage, labels = folder / "checkpoints" / "train", folder / "labels" / ".corrected.0123456789ab"
    stage.mkdir(parents=True)
    labels.mkdir(parents=True)
    torn = [folder / ".run.json.0123456789ab", stage / ".last.ckpt.0123456789ab", labels / "a.npy"]
    for part in torn:
        part.write_text("half")
    with own_run(folder, "s", CONDITION):
        assert not any(part.exists() for part in [*torn, labels])
        with ThreadPoolExecutor(1) as pool, pytest.raises(RunInUseError, match="is working on it"):
            pool.submit(lambda: own_run(folder, "s", CONDITION).__enter__()).result()


def test_of_many_who_want_a_lock_one_at_a_time_has_it(tmp_path):
    inside, most = [], []

    def work(number: int) -> None:
        with locked(tmp_path / "x"):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_an_owned_run_has_the_facts_of_an_earlier_process(tmp_path):
    with own_run(tmp_path / "run", "s", CONDITION) as owned:
        owned.update(state="done")
        assert not owned.files.is_done()  # without cases.csv
    with own_run(tmp_path / "run", "s", CONDITION) as owned:
        assert owned.record["state"] == "done"
        assert isinstance(owned, OwnedRun)


@pytest.mark.slow
def test_two_launches_of_one_grid_at_once_run_each_cell_and_make_each_cache_entry_once(tmp_path, nursery):
    write_tiny_cohort(tmp_path / "cohort")
    diary = tmp_path / "diary"
    argv = ["-m", *words(tmp_path / "cohort", tmp_path / "outputs"), "seed=0,1,2"]
    launches = [WarmProcesses(tmp_path, nursery) for _ in range(2)]
    for launch in launches:
        launch.start(argv, diary=diary)
    assert [launch.end() for launch in launches] == [0, 0]
    # a third launch after a kill in the midst of it all: a run of the killed one is taken up
    pid = launches[0].start([*argv[:-1], "seed=3,4"], ["step", 6, signal.SIGKILL], diary=diary)
    assert launches[0].end() == -signal.SIGKILL
    assert launches[1].run([*argv[:-1], "seed=3,4"], diary=diary) == 0
    assert f"run.lease: taken over from process {pid}" in launches[1].log.read_text()
    lines = diary.read_text().splitlines()
    runs = sorted(line.split("_")[1] for line in lines if line.startswith("run "))
    assert runs == ["seed0", "seed1", "seed2", "seed3", "seed3", "seed4"]
    entries = [line for line in lines if line.startswith("entry ")]
    assert len(entries) == len(set(entries)) == 10
    tables = sorted(tmp_path.glob("outputs/s/*/cases.csv"))
    assert len(tables) == 5


@pytest.mark.parametrize("name", ["config.yaml", "cases.csv"])
def test_a_run_replaces_no_file_that_no_run_wrote(tmp_path, name):
    (tmp_path / name).write_text("mine: 1\n")
    line = f"{name}: a run would replace it, and no run wrote it; choose another folder"
    with pytest.raises(UserError, match=line), own_run(tmp_path, "s", CONDITION):
        pytest.fail("the folder was taken")
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "name",
    ["run.json", "learning_curve.csv", "noise_plan.csv", "noise_applied.csv", "dynamics.csv", "overlays/a.png",
     "predictions/a.nii.gz", "checkpoints/train/last.ckpt", "labels/train/a.npy"],
)  # fmt: skip
def test_a_folder_that_is_no_run_s_keeps_the_files_that_a_run_would_replace(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('{"mine": 1}\n')
    line = f"{name}: a run would replace it, and no run wrote it; choose another folder"
    with pytest.raises(UserError, match=line), own_run(tmp_path, "s", CONDITION):
        pytest.fail("the folder was taken")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [name]


def test_a_run_removes_its_own_unfinished_files_and_no_other_hidden_file(tmp_path):
    foreign = [".env.backup", ".notes.docx", ".x.0123456789", "checkpoints/train/.mine.bak", "labels/.mine.dir/a"]
    mark = "0123456789abcdef0123"
    unfinished = [".run.json.0123456789ab", f"checkpoints/train/.last.ckpt.{mark}", f"labels/.train.{mark}/a.npy"]
    unfinished.append(f"labels/.train.{mark}.old/a.npy")
    for name in [*foreign, *unfinished]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "config.yaml").write_text("noise_ratio: 0.0\n")
    with own_run(tmp_path, "s", CONDITION):
        left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*foreign, "config.yaml", "run.lease"}


@pytest.mark.parametrize("text", ["run,noise_ratio,seed\n", '\ufeff"run";"noise_ratio"\n', ""])
def test_a_run_continues_beside_the_files_of_an_earlier_try(tmp_path, text):
    (tmp_path / "cases.csv").write_text(text, encoding="utf-8")
    (tmp_path / "config.yaml").write_text("data:\n  name: phantom\nnoise_ratio: 0.0\n")
    with own_run(tmp_path, "s", CONDITION) as owned:
        assert owned.folder == tmp_path
