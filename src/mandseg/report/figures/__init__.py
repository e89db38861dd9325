"""Figures of a study: tables in, a figure out, with intervals; the same axis and the same colours everywhere.

Drawn without pyplot: no window, no global state. Draw inside ``drawing_style()``.
"""

from mandseg.report.figures.axis import LevelAxis, axis_label
from mandseg.report.figures.cases import plot_case_differences, plot_cases
from mandseg.report.figures.curve import plot_curve, plot_curves
from mandseg.report.figures.forest import FOREST_ROWS, plot_forest
from mandseg.report.figures.learning import plot_learning_curves, plot_memorisation
from mandseg.report.figures.noise import plot_noise
from mandseg.report.figures.response import plot_response
from mandseg.report.figures.seeds import plot_seeds
from mandseg.report.figures.style import COLOURS, FAINT, INK, MARGIN, MARKERS, drawing_style, save

__all__ = [
    "COLOURS",
    "FAINT",
    "FOREST_ROWS",
    "INK",
    "MARGIN",
    "MARKERS",
    "LevelAxis",
    "axis_label",
    "drawing_style",
    "plot_case_differences",
    "plot_cases",
    "plot_curve",
    "plot_curves",
    "plot_forest",
    "plot_learning_curves",
    "plot_memorisation",
    "plot_noise",
    "plot_response",
    "plot_seeds",
    "save",
]
