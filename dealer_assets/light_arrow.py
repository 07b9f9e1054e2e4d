"""Keeps pyarrow from importing pandas when it makes its first array.

Belongs here: this one start-up measure. Does not belong here: anything else about Arrow.

pyarrow looks for pandas once, at the first `pa.array`, to know its objects; the import costs
half a second in every command and every Dagster run, and nothing of ours hands pandas objects over.
Hiding the package during that one look settles it. `Table.to_pandas` still works: it imports pandas
when it is called.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

import pyarrow as pa


class _PandasHidden(MetaPathFinder):
    """Answers that there is no pandas."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Raise for pandas, pass for everything else."""
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is hidden from pyarrow's first look", name=fullname)


def settle_pandas_lookup() -> None:
    """Let pyarrow look for pandas now and not find it, unless pandas is loaded anyway."""
    if "pandas" in sys.modules:
        return
    hidden = _PandasHidden()
    sys.meta_path.insert(0, hidden)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(hidden)
