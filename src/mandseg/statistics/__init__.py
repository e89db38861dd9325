"""A table of scores in, results with intervals out. This package reads no file."""
