"""A table of scores in, results with intervals out. No file is read here."""
