"""The planned dose of a case: its file, its plausibility, and its values in a contour."""
