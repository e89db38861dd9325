"""Evaluates a trained network: predictions, scores and pictures."""
