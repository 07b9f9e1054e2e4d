"""The live API: what the engine knows, over HTTP and WebSocket.

Belongs here: documents, routes, access. Does not belong here: numbers; they are read from the
engine's `LaneView` or computed by the domain. Of the stream the API only reads: a slow or broken
client can neither hold it up nor change it. Alerts can be acknowledged, in their own store.
"""
