"""The command ``mandseg rank``: which labels of a cohort to correct first."""

from pathlib import Path
from typing import Annotated

import typer


def rank(
    cohort: Annotated[Path, typer.Argument(help="A cohort's folder, or its manifest.csv; no reference is needed.")],
    by: Annotated[str | None, typer.Option("--by", help="The score that decides the order (docs/ranking.md).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: ranking, in the cohort.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that measure and draw.")] = None,
) -> None:
    """Rank the labels of a cohort by how likely they are wrong: the cases to correct first.

    Ranks the noisy label of a case, or its reference if it has no noisy one. Cases with 1 in the column trusted of the
    manifest are not ranked. Writes ranking.csv, which is also a value of ranking= of a training.

    Example: [bold]mandseg rank cohorts/clinic[/bold]
    """
    from mandseg.ranking.folder import default_folder, write_ranking
    from mandseg.ranking.ranking import rank_labels
    from mandseg.ranking.terminal import print_ranking
    from mandseg.system.terminal import open_console

    folder = out or default_folder(cohort)
    page = write_ranking(folder, lambda: rank_labels(cohort, by, workers))
    print_ranking(page.ranking, open_console())
    print(page.file)
