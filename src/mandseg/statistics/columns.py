"""The columns of a run's condition, in one place: the run's record, grid.csv, the arms of a study follow from them.

A column that is added at the end of ``CONDITION`` is added everywhere. It needs a config group of its name with a
``name``. It is no part of a run folder's name.
"""

RATIO_COLUMN = "noise_ratio"
CONDITION = (RATIO_COLUMN, "seed", "data", "noise", "model", "method", "loss")
"""What tells runs of a study apart, in the order of every table."""
EARLIEST = CONDITION[:6]
"""The columns that every version recorded. Where an old run lacks a later one, it is not stated."""
LATER = CONDITION[6:]
GROUPS = CONDITION[2:]
"""Columns that name a group of settings."""
ARM = (*GROUPS, "variant")
"""What is compared at several noise ratios. Ratio and seed vary within an arm."""
COMPARABLE = (RATIO_COLUMN, *ARM)
"""Columns of a run's condition that can be compared. The seed cannot: it pairs the runs."""
NOT_STATED = "not stated"
