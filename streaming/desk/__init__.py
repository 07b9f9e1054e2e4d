"""One desk for one session: what is listed, which feeds are open, and the path of a frame.

Belongs here: opening a session, the inbox, the pipeline, filling of gaps, what is current. Does not
belong here: several desks, signals, heartbeats (`process`); calculations (`core`).
"""
