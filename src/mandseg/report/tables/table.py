"""A table of the page: cells for the reader, numbers for the CSV file, and a LaTeX version."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--",
        "\N{MULTIPLICATION SIGN}": r"$\times$", "<": "$<$", ">": "$>$", "|": r"\textbar{}",
        "\N{LEFT DOUBLE QUOTATION MARK}": "``", "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    }
)  # fmt: skip
"""Characters that pandas escapes, and characters that LaTeX fonts lack."""
AS_WIDE_AS_THE_PAGE = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


@dataclass(frozen=True)
class Cell:
    """A cell.

    Args:
        text: The number or word.
        small: A second line, e.g. an interval or a reason.
        kind: A verdict, which gives the cell its mark and colour.
        order: The number for sorting; by default the number at the start of the text.
    """

    text: str
    small: str = ""
    kind: str = ""
    order: float | None = None


@dataclass(frozen=True)
class Column:
    """The head of a column; ``words``: the column has words, which are aligned left."""

    text: str
    small: str = ""
    words: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Args:
        name: Name of its files.
        caption: The caption.
        columns: Heads of the columns; the first column names the row.
        rows: The cells, one for each column.
        data: The numbers for the CSV file.
        notes: Notes below the table.
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
        """The cells as LaTeX, for a paper (packages booktabs and graphicx)."""
        heads = [_latex(" ".join(filter(None, (column.text, column.small)))) for column in self.columns]
        cells = [[f"{c.text} ({c.small})" if c.small else c.text for c in row] for row in self.rows]
        rows = [" & ".join(map(_latex, row)) + r" \\" for row in cells]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(self.caption)}}}",
            rf"\label{{tab:{self.name}}}",
            AS_WIDE_AS_THE_PAGE,
            rf"\begin{{tabular}}{{{''.join('r' if k and not c.words else 'l' for k, c in enumerate(self.columns))}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            *(rf"\par\footnotesize {_latex(note)}" for note in self.notes),
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def _latex(text: object) -> str:
    return str(text).translate(LATEX)
