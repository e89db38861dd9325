"""One module a source: each turns what a provider hands out into a cohort folder with its manifest."""
