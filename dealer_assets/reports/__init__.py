"""Pictures and words for people: what results look like, never how they are computed."""
