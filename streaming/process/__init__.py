"""The process around the desks: start, supervision, clocks, heartbeats, reports to Dagster.

Belongs here: what lives longer than a session. Does not belong here: the path of a frame (`desk`).
"""
