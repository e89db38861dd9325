"""Predicts new images: finds them, checks that they are plausible, and writes masks, pictures and quality figures."""
