"""A ranking on the terminal: the first cases with their reasons."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mandseg.ranking.ranking import Ranking
from mandseg.report.wording import number
from mandseg.system.wording import count

SHOWN = 15  # cases


def print_ranking(ranking: Ranking, console: Console) -> None:
    """Print the first cases to correct, and the notes."""
    rows = ranking.open.head(SHOWN)
    title = f"Cohort {escape(ranking.cohort.name)}: correct these first, by {ranking.by}"
    table = Table(title=title, title_justify="left")
    for name in ("rank", "case", "annotator", ranking.by, "hint", "why"):
        table.add_column(name, justify="right" if name in ("rank", ranking.by) else "left")
    for row in rows.to_dict("records"):
        words = (escape(str(row[name])) for name in ("case_id", "annotator"))
        table.add_row(str(row["rank"]), *words, number(float(row["suspicion"]), 3), row["hint"], row["why"])
    console.print(table)
    if more := len(ranking.open) - len(rows):
        console.print(f"{count(more, 'further case')} in ranking.csv", highlight=False)
    claimed = ranking.annotators.claims if ranking.annotators else ()
    for line in [*ranking.notes, *(check.sentence for check in ranking.checks), *claimed]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
