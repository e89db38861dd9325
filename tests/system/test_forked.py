"""Forked copies of a process give the results, in the order and with the errors, of a loop."""

import os
import signal

import pytest

from mandseg.system import forked
from mandseg.system.forked import in_forks


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "usable_cores", lambda: 3)


def test_results_have_the_order_of_their_items_and_come_from_several_processes():
    results = in_forks(lambda item: (item * item, os.getpid()), range(14))
    assert [square for square, _ in results] == [item * item for item in range(14)]
    assert len({process for _, process in results}) == 3


def test_few_items_stay_in_this_process():
    assert set(in_forks(lambda item: os.getpid(), range(7))) == {os.getpid()}


@pytest.mark.parametrize("item", [0, 1], ids=["of this process", "of another process"])
def test_an_error_is_raised_here(item):
    def fail(given):
        if given == item:
            raise ValueError(f"item {given} cannot be drawn")
        return bytes(1_000_000)  # more than a pipe holds

    with pytest.raises(ValueError, match=f"item {item} cannot be drawn"):
        in_forks(fail, range(12))


def test_a_process_that_is_killed_is_an_error_and_not_a_wait_without_end():
    def die(item):
        if item == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    with pytest.raises(RuntimeError, match="killed"):
        in_forks(die, range(12))
