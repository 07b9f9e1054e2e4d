"""Raw sessions on disk: writing frames as they came, and playing them back.

Belongs here: the recorded file, recording without pricing, replay. Does not belong here: the rows
of the lake (`keeping`).
"""
