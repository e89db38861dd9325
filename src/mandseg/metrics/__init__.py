"""Metrics of two masks: Dice, distances, displacement, regions; the catalogue of metrics and their margins."""

from mandseg.metrics.agreement import score
from mandseg.metrics.catalogue import METRICS

__all__ = ["METRICS", "score"]
