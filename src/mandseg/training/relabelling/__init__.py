"""Makers of the labels of a stage, one class a file: mandseg.training.stages.Relabelling."""
