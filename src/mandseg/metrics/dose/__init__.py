"""Dose of a contour: what is measured of it, and its error against the reference contour under the same dose."""
