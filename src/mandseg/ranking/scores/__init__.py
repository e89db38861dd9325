"""The scores of a ranking, one in each file: of a label alone, of a label against predictions, and of annotators."""
