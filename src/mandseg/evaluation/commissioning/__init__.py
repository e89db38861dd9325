"""Checks with known answers that a clinic repeats on its own machine (docs/commissioning.md)."""
