"""What the reader of a derived table should know of how it came about.

Belongs here: the one type. Does not belong here: any remark. A provider says the same of a source
with `providers.base.Finding`, which the domain does not know.
"""

from __future__ import annotations

from typing import NamedTuple


class Remark(NamedTuple):
    """Something that the reader of a snapshot should know.

    Parameters
    ----------
    code : str
        Stable snake_case word.
    text : str
        In words.
    """

    code: str
    text: str
