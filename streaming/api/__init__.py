"""The live API: what the engine knows, over HTTP and WebSocket.

Belongs here: documents, routes, access. Does not belong here: numbers; they are read from the
engine's `LaneView` or computed by the domain. The API only reads: a slow or broken client can
neither hold up nor change the stream.
"""
