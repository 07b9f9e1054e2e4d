"""Polygon's (Massive's) flat files: one compressed file per day and dataset, the whole market each.

`datasets` says what there is, `store` fetches, `sorting` turns a day into sorted Parquet, `rows`
turns that into the platform's tables, `provider` answers for a session.
"""
