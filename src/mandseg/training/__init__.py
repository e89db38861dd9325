"""Methods, networks, patches, the LightningModule, its stages and checkpoints."""
