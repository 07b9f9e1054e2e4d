"""Dagster only: thin shells over ingest, lake and domain. File names mirror what they schedule."""
