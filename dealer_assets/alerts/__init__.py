"""Alerts that were raised: where they are kept, what became of them, how they are sent.

Belongs here: the store and everything that changes an alert's state; no Dagster, so that command
line, live API and daemon share it. Does not belong here: which alerts there are (`domain/alerting`,
`derived/alerting.py`).
"""
