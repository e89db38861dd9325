"""A short run of ``make torture``: damaged files of each reader, and one of each disaster of a sweep."""

from pathlib import Path

import pytest
from disasters import AS_ROOT, DISASTERS, Sweep, can_mount, fill, kill
from fuzzing import MOST_MIB, fuzz
from readers import READERS

SLOW_READERS = {"run.json", "config.yaml", "grid.csv", "cases.csv", "learning_curve.csv", "checkpoint"}


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    n = 25 if name in SLOW_READERS else 100
    tally = fuzz(name, n, 0, tmp_path / "files")
    assert not tally.faults, "\n".join(tally.examples.values())
    assert tally.n == n
    assert tally.peak_mib < MOST_MIB


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, nursery: Path) -> tuple[Path, str]:
    """A folder, and the outcome of an undisturbed sweep in it."""
    folder = tmp_path_factory.mktemp("sweeps")
    sweep = Sweep(folder, nursery, "undisturbed")
    assert sweep.run() == 0, sweep.processes.log.read_text()
    return folder, sweep.outcome()


@pytest.mark.slow
def test_a_sweep_that_is_killed_ends_like_an_undisturbed_one(undisturbed: tuple[Path, str], nursery: Path) -> None:
    folder, wanted = undisturbed
    assert kill(folder, nursery, wanted, kills=2).startswith("2 kills")


@pytest.mark.slow
@pytest.mark.parametrize("name", DISASTERS)
def test_a_sweep_survives(name: str, undisturbed: tuple[Path, str], nursery: Path) -> None:
    if DISASTERS[name] in AS_ROOT and not can_mount():
        pytest.skip("only root may mount a small disk")
    folder, wanted = undisturbed
    few = {"sizes_kib": (60,)} if DISASTERS[name] is fill else {}
    assert DISASTERS[name](folder, nursery, wanted, **few)
