"""The figures of a report and where each stands: a new figure is a file in ``figures/`` and a line here."""

from collections.abc import Callable, Iterable

from mandseg.report.figures import cases, curve, forest, learning, noise, response, seeds
from mandseg.report.figures.source import FigureSource, ReportFigure

FIGURES: dict[str, tuple[Callable[[FigureSource], Iterable[ReportFigure]], ...]] = {
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
"""Part of the page -> its figures."""
OF_FEW_ARMS = ("cases", "seeds", "means")
"""Parts without figures where many arms share the page."""
OF_PEOPLE = ("noise",)
"""Parts whose figures name annotators: they stay in the study folder."""


def draw_figures(source: FigureSource, few_arms: bool) -> dict[str, list[ReportFigure]]:
    """Draw the figures of an arm, by the part of the page that they belong to."""
    return {
        part: [figure for draw in drawn for figure in draw(source)] if few_arms or part not in OF_FEW_ARMS else []
        for part, drawn in FIGURES.items()
    }
