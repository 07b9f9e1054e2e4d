"""Feeds: what connects to a venue and delivers its messages, and the decoders of each.

Belongs here: sockets, sessions, subscriptions, wire formats. Does not belong here: what an event
means for a position (`book`, `engine`).
"""
