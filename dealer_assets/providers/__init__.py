"""Vendor payloads to rows of `tables`. Vendor field names appear here and nowhere else."""
