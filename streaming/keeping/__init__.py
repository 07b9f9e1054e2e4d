"""Keeping what was acknowledged: journal, parts, recovery.

Belongs here: the way of a row from the engine to the lake, and back after a crash. Does not belong
here: what the rows mean (`core`); raw recordings of frames (`recordings`).
"""
