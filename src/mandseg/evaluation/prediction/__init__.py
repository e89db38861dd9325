"""Predicts new images: what is found, whether it is plausible, how sure the network is, and the files that are written."""
