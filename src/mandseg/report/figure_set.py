"""The figures of a report and their parts of the page. A new figure is a file in ``figures/`` and a line here."""

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
"""The figures of each part of the page."""
OF_FEW_ARMS = ("cases", "seeds", "means")
"""Parts that have no figures if many arms share the page."""
OF_PEOPLE = ("noise",)
"""Parts whose figures name annotators. These figures stay in the study folder."""


def draw_figures(source: FigureSource, few_arms: bool) -> dict[str, list[ReportFigure]]:
    """Draw the figures of an arm, by part of the page."""
    return {
        part: [figure for draw in drawn for figure in draw(source)] if few_arms or part not in OF_FEW_ARMS else []
        for part, drawn in FIGURES.items()
    }
