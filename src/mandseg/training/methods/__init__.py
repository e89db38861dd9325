"""Training methods: networks, loss and answer of a run, one class a file."""
