"""Files, locks, signals, progress, errors and processes: what every room uses."""
