"""Modes: one class for each contouring error, in mm."""
