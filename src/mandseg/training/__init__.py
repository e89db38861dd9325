"""Methods, losses, patches, the LightningModule and its checkpoints."""
