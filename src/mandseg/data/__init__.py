"""Cohorts: cases, manifests, volumes, checks, the cache, importers and phantoms."""
