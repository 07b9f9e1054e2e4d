"""Polygon's WebSocket: session, subscriptions, wire format, filling of gaps.

Belongs here: everything that knows a name of Polygon's messages. Does not belong here: sockets and
back-off (`feeds`), what an event means for a position (`core`).
"""
