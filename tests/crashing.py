"""A loss that makes the second process of one run of a grid vanish; the tests put this folder on PYTHONPATH."""

import os
import signal

from monai.losses import DiceCELoss


class Loss(DiceCELoss):
    """DiceCELoss; the process of rank 1 of the run with seed 1 kills itself at its third step."""

    def __init__(self, seed: int) -> None:
        super().__init__(sigmoid=True, batch=True)
        self.seed, self.calls = seed, 0

    def forward(self, logits, label):
        self.calls += 1
        if os.environ.get("RANK") == "1" and self.seed == 1 and self.calls == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(logits, label)
