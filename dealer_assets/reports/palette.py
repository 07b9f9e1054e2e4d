"""Colours of every picture: one for each side of zero, one for what is apart, two for text.

Belongs here: colours. Does not belong here: what they stand for in a picture, which gives them
names of its own.
"""

from __future__ import annotations

TEAL, RUST, VIOLET = "#1b7f79", "#b3412c", "#6b4fa0"
"""Long, calls, buying; short, puts, selling; the total, a level or a band."""

INK, GREY = "#1f2933", "#7b8794"
"""Lines and words that matter; those that may be overlooked."""

BLUE, AMBER, PLUM = "#2f6db5", "#d98c2b", "#8c2f6d"
"""Where more than three have to be told apart."""
