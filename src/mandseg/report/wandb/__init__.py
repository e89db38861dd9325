"""The copy of a study on Weights & Biases: upload, workspace and sync."""
