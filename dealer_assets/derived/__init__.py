"""What follows from more of the lake than one snapshot: sessions before, other lanes, the stream.

Belongs here: which rows are read and what is written, for tables that `lake/refresh.py` cannot
derive by itself. Does not belong here: the arithmetic (`domain`), getting rows from elsewhere
(`intake`), when it happens (`defs`).
"""
