"""The procedural phantom: head-and-neck CT with a known mandible, the default data of the project.

A seed goes in, a CT in HU and its reference mandible come out; cohorts of them are written as folders with a manifest.
"""

from mandseg.data.phantom.cohorts import DEFAULT_SIZES, Sizes, phantom_cohorts, write_phantom_cohort
from mandseg.data.phantom.drawn_case import phantom_case
from mandseg.data.phantom.population import CLINIC, GERIATRIC, MAXILLOFACIAL, POPULATIONS, Population

__all__ = [
    "CLINIC",
    "DEFAULT_SIZES",
    "GERIATRIC",
    "MAXILLOFACIAL",
    "POPULATIONS",
    "Population",
    "Sizes",
    "phantom_case",
    "phantom_cohorts",
    "write_phantom_cohort",
]
