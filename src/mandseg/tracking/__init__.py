"""The copy of a run on Weights & Biases. It is write-only: no result depends on it."""
