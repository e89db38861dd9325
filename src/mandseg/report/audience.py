"""Who reads a report: the renderer's one switch between what stays in the study folder and what may leave it."""

from enum import Enum


class Audience(Enum):
    """Whom a page, its tables and figures are made for.

    Attributes:
        INSIDE: Whoever may open the study folder.
        OUTSIDE: Whoever may see the study on W&B: no annotator, subject, host, folder or message of an error.
    """

    INSIDE = "inside"
    OUTSIDE = "outside"
