"""How far a running run is, from its record and its learning curve, and how long its training still takes."""

import os

from mandseg.runs.folder import RunFolder
from mandseg.runs.record import RunRecord

LAST_BYTES = 4096  # of a learning curve: its last rows


def progress(folder: RunFolder, record: RunRecord | None) -> str:
    """``step 120 of 400, about 3 min of training left``; empty before the first step is logged.

    The time is that of the steps so far. The test after the training is not counted.
    """
    logged = _last_step(folder)
    if logged is None or record is None or not record.steps:
        return ""
    done = logged + 1
    words = f"step {done} of {record.steps}"
    seconds = _seconds_of_training(folder, record)
    if seconds is None or done >= record.steps:
        return words
    return f"{words}, about {duration(seconds / done * (record.steps - done))} of training left"


def duration(seconds: float) -> str:
    """A time in words: seconds below two minutes, minutes below two hours, then hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _last_step(folder: RunFolder) -> int | None:
    """The step of the last complete row of the learning curve."""
    try:
        with folder.curve_file.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")[:-1]
    except OSError:
        return None
    cell = lines[-1].partition(",")[0] if lines else ""
    return int(cell) if cell.isdecimal() else None


def _seconds_of_training(folder: RunFolder, record: RunRecord) -> float | None:
    """Seconds until the last logged step.

    A phase that has ended is in the record. The present phase began when the record was last written.
    """
    try:
        present = folder.curve_file.stat().st_mtime - folder.record_file.stat().st_mtime
    except OSError:
        return None
    seconds = (record.cost()["train_s"] or 0.0) + max(present, 0.0)
    return seconds if seconds > 0 else None
