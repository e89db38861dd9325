"""What a prediction can come to: scored, or empty where it should not be."""

from typing import Literal

Outcome = Literal["scored", "missed", "spurious", "both_empty"]
OUTCOMES: tuple[Outcome, ...] = ("scored", "missed", "spurious", "both_empty")
WORST_CASE: tuple[Outcome, ...] = ("missed", "spurious")
"""Outcomes whose scores are worst-case values by definition."""
