"""One module for each source; it turns the provider's files into a cohort folder with a manifest."""
