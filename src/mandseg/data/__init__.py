"""Cohorts: cases, manifests, volumes, checks, the cache, importers, phantoms."""
