"""The columns of a run's condition, in one place: the run's record, grid.csv, the arms of a study follow from them.

A column that is added at the end of ``CONDITION`` is added everywhere. It is no part of a run folder's name. Its value
is that of :func:`mandseg.runs.condition.condition`.
"""

RATIO_COLUMN = "noise_ratio"
CONDITION = (RATIO_COLUMN, "seed", "data", "noise", "model", "method", "loss", "clean_budget", "ranking")
"""The columns that distinguish the runs of a study, in the order of every table."""
EARLIEST = CONDITION[:6]
"""The columns that every version recorded. Where an old run lacks a later one, it is not stated."""
LATER = CONDITION[6:]
GROUPS = CONDITION[2:7]
"""Columns that name a group of settings."""
ARM = (*CONDITION[2:], "variant")
"""What is compared at several noise ratios. Ratio and seed vary within an arm."""
COMPARABLE = (RATIO_COLUMN, *ARM)
"""Columns of a run's condition that can be compared. The seed cannot: it pairs the runs."""
NOT_STATED = "not stated"
USUAL = {"clean_budget": "0", "ranking": "none"}
"""Values of later columns that leave a run as it was before there was the column. A run of an earlier version has them,
and a report does not mention them."""


def is_worth_stating(column: str, value: object) -> bool:
    """Whether a value of a column says something of an arm: not what is unknown, and not the usual."""
    return value not in ("", NOT_STATED) and value != USUAL.get(column)
