"""Notes on a whole arm, in words: what cannot be compared."""

from collections.abc import Iterator, Sequence

from mandseg.statistics.comparison import Comparison, Level
from mandseg.statistics.dataset_contrasts import shared_subjects
from mandseg.statistics.score_table import ScoreTable
from mandseg.system.wording import count


def arm_notes(score_tables: Sequence[ScoreTable], scored: Sequence[Level], comparison: Comparison) -> Iterator[str]:
    """One line for each: nothing to compare, and data sets that share subjects.

    Args:
        score_tables: The data sets and their groups.
        scored: The levels that have scores.
        comparison: The compared column and its baseline.
    """
    ungrouped = [table for table in score_tables if not table.group]
    levels = comparison.ordered(scored)
    if not levels:
        yield "no case was scored: there is nothing to analyse"
    elif comparison.baseline not in levels:
        yield f"no run at {comparison.name(comparison.baseline)} is done: nothing can be compared with it"
    elif len(levels) == 1:
        yield f"only {comparison.name(levels[0])} was run: there is nothing to compare"
    for away in ungrouped[1:]:
        if n := shared_subjects(ungrouped[0], away):
            yield (
                f"data set {away.dataset} shares {n} of its {count(len(set(away.subjects)), 'subject')} with "
                f"{ungrouped[0].dataset}: the two are not compared with each other"
            )
