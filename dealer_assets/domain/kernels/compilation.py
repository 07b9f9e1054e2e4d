"""How kernels are compiled and where the machine code is kept.

Belongs here: the two decorators and the cache folder. Does not belong here: arithmetic.

numba notices a change of a cached function's own file, not of a file whose functions it inlines.
The cache folder is therefore named after the contents of the shared files, so that a change there
can never leave old machine code in use.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_ROOM = Path(__file__).parent
_SHARED = ("compilation.py", "elementary.py")

FASTMATH = frozenset({"contract", "nsz", "arcp"})
"""No ``reassoc`` (it would undo the rounding in `elementary.exp`), no ``nnan`` or ``ninf`` (NaN is
how kernels say that an input was bad)."""


def _cache_folder() -> str:
    contents = b"".join((_ROOM / name).read_bytes() for name in _SHARED)
    name = f"kernels-{hashlib.sha256(contents).hexdigest()[:12]}"
    given = numba.config.CACHE_DIR
    base = Path(given) if given else _ROOM / "__pycache__"
    if not given and not os.access(_ROOM, os.W_OK):
        base = Path(tempfile.gettempdir()) / f"dealer-kernels-{os.getuid()}"
    return str(base / name)


_CACHE = _cache_folder()


def kernel(function: Kernel) -> Kernel:
    """Compile a function called from Python: machine code kept on disk, the GIL released."""
    given = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = _CACHE  # read once, when the decorator is applied
    try:
        compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath=set(FASTMATH))(
            function
        )
    finally:
        numba.config.CACHE_DIR = given
    return compiled  # type: ignore[no-any-return]


def inlined(function: Kernel) -> Kernel:
    """Compile a function that kernels inline; it has no machine code of its own.

    ``forceinline`` works on LLVM's level. numba's own ``inline="always"`` would take over the
    caller's fast-math flags, and with ``reassoc`` there `elementary.exp` is silently wrong.
    """
    return njit(forceinline=True, error_model="numpy", fastmath=set(FASTMATH))(function)  # type: ignore[no-any-return]
