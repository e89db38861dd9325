"""The networks that predict: what a checkpoint carries, and the choice of runs."""
