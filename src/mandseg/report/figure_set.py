"""The figures of a report and their parts of the page. A new figure is a file in ``figures/`` and a line here."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from mandseg.report.figures import cases, curve, forest, learning, noise, response, seeds
from mandseg.report.figures.source import Drawing, FigureSource, ReportFigure, draw
from mandseg.system.forked import in_forks

FIGURES: dict[str, tuple[Callable[[FigureSource], Iterable[Drawing]], ...]] = {
    "finding": (curve.primary_curve,),
    "tolerated": (response.response,),
    "differences": (forest.forest,),
    "cases": (cases.single_cases, cases.case_differences),
    "seeds": (seeds.seeds,),
    "means": (curve.other_curves,),
    "noise": (noise.noise,),
    "memorisation": (learning.memorisation,),
    "learning": (learning.learning,),
}
"""The figures of each part of the page."""
OF_FEW_ARMS = ("cases", "seeds", "means")
"""Parts that have no figures if many arms share the page."""
OF_PEOPLE = ("noise",)
"""Parts whose figures name annotators. These figures stay in the study folder."""


def draw_figures(
    source: FigureSource, folder: Path, few_arms: bool, further: Sequence[str] = ()
) -> dict[str, list[ReportFigure]]:
    """Draw the figures of an arm, by part of the page.

    Args:
        source: The numbers of the arm.
        folder: Folder of the files.
        few_arms: Whether few arms share the page.
        further: File types beside SVG.
    """
    wanted = {
        part: [drawing for figure in figures if few_arms or part not in OF_FEW_ARMS for drawing in figure(source)]
        for part, figures in FIGURES.items()
    }
    drawings = [drawing for own in wanted.values() for drawing in own]
    drawn = iter(in_forks(partial(draw, folder=folder, further=further), drawings))
    return {part: [next(drawn) for _ in own] for part, own in wanted.items()}
