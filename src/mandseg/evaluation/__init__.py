"""A trained network in, predictions, scores and pictures out."""
