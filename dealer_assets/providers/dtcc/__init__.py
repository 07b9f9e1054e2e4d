"""DTCC's public reports of swaps, of which the options are kept: `read` of a cumulative or slice.

Belongs here: what the repository's files say. Does not belong here: fetching them, or what OTC
options do to dealers' positions: no report tells who bought.

``reports`` reads files larger than the memory, ``lifecycle`` folds what was reported later into the
record it belongs to, ``terms`` reads cells, ``records`` builds the rows.
"""
