"""Metrics of two masks: Dice, distances, displacement, regions; the catalogue of metrics and their margins."""
