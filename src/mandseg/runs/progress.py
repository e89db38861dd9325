"""How far a running run is, from its record and its learning curve, and how long its training still takes."""

import os

from mandseg.runs.folder import RunFolder
from mandseg.runs.record import RunRecord

LAST_BYTES = 4096  # of a learning curve: its last rows


def progress(folder: RunFolder, record: RunRecord | None) -> str:
    """``step 120 of 400, about 3 min of training left``; empty before the first step is logged.

    The time is that of the steps that the present process has done. The test after the training is not counted.
    """
    done = logged_steps(folder)
    if not done or record is None or not record.steps:
        return ""
    words = f"step {done} of {record.steps}"
    step_s = _seconds_of_a_step(folder, record, done)
    if step_s is None or done >= record.steps:
        return words
    return f"{words}, about {duration(step_s * (record.steps - done))} of training left"


def duration(seconds: float) -> str:
    """A time in words: seconds below two minutes, minutes below two hours, then hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def logged_steps(folder: RunFolder) -> int:
    """The steps up to the last complete row of the learning curve; 0 without one."""
    try:
        with folder.curve_file.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")[:-1]
    except OSError:
        return 0
    cell = lines[-1].partition(",")[0] if lines else ""
    return int(cell) + 1 if cell.isdecimal() else 0


def _seconds_of_a_step(folder: RunFolder, record: RunRecord, done: int) -> float | None:
    """Seconds of a step of the present process; None until it has logged a step that no process did before it.

    The record was last written when the process began to train, the curve when it logged its last step.
    """
    began = record.began or {}
    try:
        seconds = folder.curve_file.stat().st_mtime - folder.record_file.stat().st_mtime
    except OSError:
        return None
    is_known = done > began.get("logged", done) and "step" in began and seconds > 0
    return seconds / (done - began["step"]) if is_known else None
