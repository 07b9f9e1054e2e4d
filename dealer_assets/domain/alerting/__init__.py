"""When an alert is due: what one is, the rules that raise it, what keeps it quiet.

Belongs here: pure functions, rows and instants in, alerts out. Does not belong here: reading the
lake (`derived/alerting.py`), what became of an alert (`alerts/store.py`), sending it.
"""
