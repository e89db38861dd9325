"""Training patches: cut from prepared cases, changed, and loaded beside the training."""
