"""The study's copy on Weights & Biases: upload, workspace, sync."""
