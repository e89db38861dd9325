"""The settings of a run: their schema, and its check before anything is made."""
