"""Training methods: networks, loss and prediction of a run, one class per file."""
