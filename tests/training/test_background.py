"""Batches that are made beside the training are the batches that the training would have made."""

import threading
import time

import pytest
import torch

from mandseg.system import cores
from mandseg.training.loading import background
from mandseg.training.loading.background import BackgroundLoader, free_cores


def names():
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("patches")}


@pytest.mark.parametrize("threads", [1, 3])
def test_the_batches_come_in_their_order_from_other_threads(threads):
    makers, all_busy = set(), threading.Barrier(threads)

    def make(indices):
        makers.add(threading.current_thread().name)
        if indices[0] < threads:
            all_busy.wait(60)
        time.sleep(0.02 if indices[0] % 3 == 0 else 0)  # later batches are ready before earlier ones
        return 2 * indices[0]

    loader = BackgroundLoader(make, [[k] for k in range(12)], 12, threads)
    assert len(loader) == 12
    assert list(loader) == [2 * k for k in range(12)]
    assert makers == {f"patches_{k}" for k in range(threads)}
    assert names() == set()  # they end with the pass


def test_no_more_batches_are_made_than_may_wait():
    made = []
    taken = iter(BackgroundLoader(made.append, ([k] for k in range(100)), 100, 2))
    next(taken)
    taken.close()  # waits for the threads
    assert len(made) <= 1 + 2 * background.AHEAD
    assert names() == set()


def test_an_error_is_raised_where_the_batch_is_taken():
    def make(indices):
        if indices == [1]:
            raise ValueError("case c1: no label")
        return 0

    taken = iter(BackgroundLoader(make, [[0], [1]], 2))
    assert next(taken) == 0
    with pytest.raises(ValueError, match="case c1"):
        next(taken)
    assert names() == set()


@pytest.mark.parametrize("threads", [1, 3])
def test_the_threads_of_the_training_stay_and_each_thread_of_the_loader_computes_with_one(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for inside in BackgroundLoader(lambda _: torch.get_num_threads(), [[k] for k in range(9)], 9, threads):
            assert inside == 1
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("usable", "threads", "on_cpu", "processes", "free"),
    [
        (2, 1, True, 1, 1),  # OMP_NUM_THREADS=1 on two cores
        (2, 2, True, 1, 0),  # the training takes both
        (1, 2, True, 1, 0),
        (2, 1, True, 2, 0),  # a run in two processes
        (8, 2, True, 2, 2),
        (16, 8, False, 1, 15),  # on a GPU
        (1, 8, False, 1, 0),
    ],
)
def test_cores_are_free_beside_the_threads_of_the_training(monkeypatch, usable, threads, on_cpu, processes, free):
    monkeypatch.setattr(cores, "usable_cores", lambda: usable)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert free_cores(on_cpu, processes) == free


@pytest.mark.parametrize(("tasks", "free"), [("2", 1), ("1", 0)])
def test_tasks_of_slurm_have_their_own_cores_and_the_processes_of_one_task_share_them(monkeypatch, tasks, free):
    """Two processes of a run with 4 cores a task and 3 threads each, started by srun or by one task itself."""
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", tasks)
    assert free_cores(True, 2) == free


def test_a_task_of_slurm_has_the_cores_that_slurm_gives(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert cores.usable_cores() == 4
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    assert cores.usable_cores() == 16
