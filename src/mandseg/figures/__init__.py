"""Figures of a study: tables in, a figure out, with intervals; the same axis and the same colours everywhere.

Drawn without pyplot: no window, no global state. Draw inside ``style()``.
"""

from mandseg.figures.axis import LevelAxis, axis_label
from mandseg.figures.cases import plot_case_differences, plot_cases
from mandseg.figures.curve import plot_curve, plot_curves
from mandseg.figures.forest import FOREST_ROWS, plot_forest
from mandseg.figures.learning import plot_learning_curves, plot_memorisation
from mandseg.figures.look import COLOURS, FAINT, INK, MARGIN, MARKERS, save, style
from mandseg.figures.noise import plot_noise
from mandseg.figures.response import plot_response
from mandseg.figures.seeds import plot_seeds

__all__ = [
    "COLOURS",
    "FAINT",
    "FOREST_ROWS",
    "INK",
    "MARGIN",
    "MARKERS",
    "LevelAxis",
    "axis_label",
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
    "style",
]
