"""Parquet storage for batch and streaming alike. Nothing outside builds a path."""
