"""Methods: what a run's networks are and what they learn from, one class a file."""
