"""The common style of all figures: colours, fonts, panels, and the files of a figure."""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

INK = "#24262b"
FAINT = "#8a8f98"
PAPER = "#fefefe"
BLUE, VERMILION, PINK, ORANGE, SKY, GREEN = "#0072b2", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#009e73"
"""The palette of Okabe and Ito, for any colour vision. A colour always has a marker or a word beside it."""
COLOURS = (BLUE, VERMILION, PINK, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
MARGIN = GREEN
OCHRE = "#a87400"
VERDICT_COLOURS: dict[str, str] = {"non-inferior": GREEN, "inconclusive": OCHRE, "inferior": VERMILION}
VERDICT_MARKERS = {"non-inferior": "o", "inconclusive": "D", "inferior": "X"}
VERDICT_MARKS = {"non-inferior": "✓", "inconclusive": "?", "inferior": "✗"}
"""The verdicts that are drawn: colours and markers of figures, marks of the page's tables."""
DOSE = LinearSegmentedColormap.from_list("dose", [BLUE, "#8d62a8", VERMILION])
"""From clean to noisy."""
ON_PAGE = {
    INK: "currentColor",
    "fill: #ffffff": "fill: none",
    PAPER: "var(--paper)",
    BLUE: f"var(--blue, {BLUE})",
    OCHRE: f"var(--unsure, {OCHRE})",
    GREEN: f"var(--margin, {GREEN})",
    VERMILION: f"var(--vermilion, {VERMILION})",
}
"""The colours of a figure on a page, which has a light and a dark theme."""
FURTHER_TYPES: dict[str, dict[str, Any]] = {
    "png": {"dpi": 160},
    "pdf": {"metadata": {"CreationDate": None, "Creator": None}},
}
"""File types that a figure can have beside SVG. They contain no time, so equal figures give equal files."""
ONE_ROW, LONG_LABEL = 4.0, 26  # inches, letters
PAIRED, INTERVAL, BAND = "mandseg:paired-interval", "mandseg:interval", "mandseg:margin"
"""Names of artists (``gid``), for tests. Files and pages do not contain them."""
GID = re.compile(r'<g id="mandseg:[^"]*"')
LONG_NUMBER = re.compile(r"(\d\.\d\d)\d+")  # in tags; screens need a hundredth of a point
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.labelsize": 10.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "font.size": 10.5,
    "grid.alpha": 0.3,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # a name with $ is no formula
    "xtick.color": INK,
    "xtick.major.size": 3,
    "ytick.color": INK,
    "ytick.major.size": 0,
}


@contextmanager
def drawing_style(salt: str = "mandseg") -> Iterator[None]:
    """The common style. ``salt`` makes the identifiers of an SVG unique on a page and equal in every run."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}):
        yield


def panels(n: int, columns: int = 3, height: float = 2.9, sharey: bool = True) -> tuple[Figure, list[Axes]]:
    """Axes for n data sets in rows of at most ``columns`` (four as two rows of two); by default with one y scale."""
    across = 2 if n == 4 and columns < 4 else min(n, columns)
    lines = -(-n // across)
    figure = Figure(figsize=((6.4, 8.2, 10.2, 11.0)[across - 1], height * lines))
    grid = figure.subplots(lines, across, sharey=sharey, squeeze=False).ravel()
    for ax in grid[n:]:
        ax.remove()
    return figure, list(grid[:n])


def one_axes(width: float = 6.4, height: float = 3.6) -> Axes:
    """A figure of one panel."""
    return Figure(figsize=(width, height)).add_subplot()


def label_panels(figure: Figure, x: str, y: str) -> None:
    """Name the axes that all panels share; with one row of panels a long name has two lines."""
    one_row = figure.get_figheight() < ONE_ROW
    y = re.sub(r" \(|(?<=:) ", lambda gap: "\n" + gap[0].strip(), y, count=1) if one_row and len(y) > LONG_LABEL else y
    figure.supylabel(y, fontsize=10.5, color=INK, ma="center")
    figure.supxlabel(x, fontsize=10.5, color=INK)


def save(figure: Figure, stem: Path, further: Iterable[str] = FURTHER_TYPES) -> str:
    """Write the figure as SVG on white, and as the further file types, for a paper or a README.

    Args:
        figure: The figure; its layout is fixed by the SVG.
        stem: Path of the files without suffix.
        further: Keys of ``FURTHER_TYPES``. A PNG costs as much as the SVG, a PDF three times as much.

    Returns:
        The SVG for an HTML page: without background, in the colours of the page, as wide as the page allows.
    """
    text = io.StringIO()
    # not savefig: it draws once for the layout and once for the file, and this is half of the time of a report
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(text, metadata={"Date": None, "Creator": None})
    figure.set_layout_engine("none")
    for kind in further:
        figure.savefig(stem.with_suffix(f".{kind}"), facecolor="white", **FURTHER_TYPES[kind])
    svg = GID.sub("<g", text.getvalue())
    stem.with_suffix(".svg").write_text(svg, encoding="utf-8")
    return for_page(svg)


def for_page(svg: str) -> str:
    """An SVG as a part of a page: colours and size from the page, only the identifiers that it uses."""
    svg = svg[svg.index("<svg") :]
    for colour, on_page in ON_PAGE.items():
        svg = svg.replace(colour, on_page)
    head, body = svg.split(">", 1)
    head = re.sub(r' width="([\d.]+)pt"', lambda width: f' style="max-width: {1.6 * float(width[1]):.0f}px"', head)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r"<[^>]+>", lambda tag: LONG_NUMBER.sub(r"\1", tag[0]), body)
    return f"{head}>" + re.sub(r'<g id="[^"]*"', "<g", body)
