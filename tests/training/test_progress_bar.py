"""The numbers beside the bar are read every few steps only, so that a GPU need not finish at every step."""

from types import SimpleNamespace

from lightning.pytorch.callbacks import RichProgressBar

from mandseg.training.progress_bar import EVERY_STEPS, StepBar


def test_the_numbers_beside_the_bar_are_read_every_few_steps_and_after_a_validation(monkeypatch):
    read = []
    monkeypatch.setattr(RichProgressBar, "get_metrics", lambda _, trainer, __: read.append(trainer.global_step) or {})
    bar = StepBar()
    for step in range(2 * EVERY_STEPS + 1):
        bar.get_metrics(SimpleNamespace(global_step=step, validating=False), None)
    assert read == [0, EVERY_STEPS, 2 * EVERY_STEPS]
    bar.get_metrics(SimpleNamespace(global_step=2 * EVERY_STEPS + 1, validating=True), None)
    assert read[-1] == 2 * EVERY_STEPS + 1
