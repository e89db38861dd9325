"""Batches that are made beside the training are the batches that the training would have made."""

import threading

import pytest
import torch

from mandseg.system import cores
from mandseg.training.loading import background
from mandseg.training.loading.background import BackgroundLoader, has_free_core


def names():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("patches")]


def test_the_batches_come_in_their_order_from_another_thread():
    makers = []

    def batches():
        for k in range(7):
            makers.append(threading.current_thread().name)
            yield k

    loader = BackgroundLoader(batches(), 7)
    assert len(loader) == 7
    assert list(loader) == list(range(7))
    assert set(makers) == {"patches_0"}
    assert names() == []  # it ends with the pass


def test_no_more_batches_are_made_than_may_wait():
    made = []
    taken = iter(BackgroundLoader((made.append(k) or k for k in range(100)), 100))
    next(taken)
    taken.close()  # waits for the thread
    assert len(made) <= 1 + background.AHEAD
    assert names() == []


def test_an_error_is_raised_where_the_batch_is_taken():
    def batches():
        yield 0
        raise ValueError("case c1: no label")

    taken = iter(BackgroundLoader(batches(), 2))
    assert next(taken) == 0
    with pytest.raises(ValueError, match="case c1"):
        next(taken)
    assert names() == []


def test_the_threads_of_the_training_stay_and_the_loader_has_one():
    before, inside = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        for _ in BackgroundLoader((inside.append(torch.get_num_threads()) or k for k in range(3)), 3):
            assert torch.get_num_threads() == 3
        assert inside == [1, 1, 1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("usable", "threads", "on_cpu", "processes", "is_free"),
    [
        (2, 1, True, 1, True),  # OMP_NUM_THREADS=1 on two cores
        (2, 2, True, 1, False),  # the training takes both
        (1, 1, True, 1, False),
        (2, 1, True, 2, False),  # a run in two processes
        (8, 2, True, 2, True),
        (2, 8, False, 1, True),  # on a GPU
        (1, 8, False, 1, False),
    ],
)
def test_a_core_is_free_beside_the_threads_of_the_training(monkeypatch, usable, threads, on_cpu, processes, is_free):
    monkeypatch.setattr(cores, "usable_cores", lambda: usable)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert has_free_core(on_cpu, processes) is is_free


@pytest.mark.parametrize(("tasks", "is_free"), [("2", True), ("1", False)])
def test_tasks_of_slurm_have_their_own_cores_and_the_processes_of_one_task_share_them(monkeypatch, tasks, is_free):
    """Two processes of a run with 4 cores a task and 3 threads each, started by srun or by one task itself."""
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", tasks)
    assert has_free_core(True, 2) is is_free


def test_a_task_of_slurm_has_the_cores_that_slurm_gives(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert cores.usable_cores() == 4
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    assert cores.usable_cores() == 16
