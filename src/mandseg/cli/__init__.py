"""The command ``mandseg``."""
