"""Recognises the same patient by content: fingerprints of labels and CTs in, pairs of cases out."""
