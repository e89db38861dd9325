"""The readers of a report, which decide what a page contains."""

from enum import Enum


class Audience(Enum):
    """The readers of a page with its tables and figures.

    Attributes:
        INSIDE: Readers who may open the study folder.
        OUTSIDE: Readers who may see the study on W&B. They see no annotator, subject, host, folder or error message.
    """

    INSIDE = "inside"
    OUTSIDE = "outside"
