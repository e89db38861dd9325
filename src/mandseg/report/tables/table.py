"""A table of the page: the cells as they are read, the numbers behind them, and the same as LaTeX."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--",
    "\N{MULTIPLICATION SIGN}": r"$\times$", "<": "$<$", ">": "$>$", "|": r"\textbar{}",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``", "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What stands in a cell.

    Args:
        text: The number or word.
        small: A second line: an interval, a reason.
        kind: A verdict, which gives the cell its mark and colour.
        order: What the column is sorted by; by default the number that the text begins with.
    """

    text: str
    small: str = ""
    kind: str = ""
    order: float | None = None


@dataclass(frozen=True)
class Column:
    """The head of a column; ``words``: it holds words, set flush left."""

    text: str
    small: str = ""
    words: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Args:
        name: Of its files.
        caption: What it shows.
        columns: Their heads; the first column names the row.
        rows: As many cells as columns.
        data: The numbers behind it, for the CSV file.
        notes: Words of caution below it.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    data: pd.DataFrame
    notes: Sequence[str] = field(default_factory=tuple)

    def write(self, folder: Path) -> None:
        """Write ``<name>.csv`` and ``<name>.tex``."""
        self.data.to_csv(folder / f"{self.name}.csv", index=False)
        (folder / f"{self.name}.tex").write_text(self.as_latex(), encoding="utf-8")

    def as_latex(self) -> str:
        """The table as it is read, for a paper (packages booktabs and graphicx)."""
        align = "".join("l" if number == 0 or column.words else "r" for number, column in enumerate(self.columns))
        heads = [_latex(" ".join(filter(None, (column.text, column.small)))) for column in self.columns]
        return "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{_latex(self.caption)}}}",
                rf"\label{{tab:{self.name}}}",
                r"\centering",
                r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
                rf"\begin{{tabular}}{{{align}}}",
                r"\toprule",
                _latex_row(heads),
                r"\midrule",
                *(_latex_row(_latex(_plain(cell)) for cell in row) for row in self.rows),
                r"\bottomrule",
                r"\end{tabular}}",
                *(rf"\par\footnotesize {_latex(note)}" for note in self.notes),
                r"\end{table}",
                "",
            ]
        )


def _plain(cell: Cell) -> str:
    return f"{cell.text} ({cell.small})" if cell.small else cell.text


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)
