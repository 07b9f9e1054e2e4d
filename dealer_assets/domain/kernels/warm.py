"""Compiles every kernel ahead of its first use: ``python -m dealer_assets.domain.kernels.warm``.

Belongs here: finding the kernel modules and calling their `warm`. Does not belong here: kernels.
A module of this package with a function `warm` is found by itself. Set-up calls this, so that no
process compiles in the middle of a tick; where machine code is already cached it is only loaded.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from time import perf_counter

from dealer_assets.domain import kernels


def warmers() -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the name of every kernel module and its `warm`, in alphabetical order."""
    for module in sorted(pkgutil.iter_modules(kernels.__path__), key=lambda found: found.name):
        if module.name == "warm":
            continue
        loaded = importlib.import_module(f"{kernels.__name__}.{module.name}")
        warm = getattr(loaded, "warm", None)
        if callable(warm):
            yield module.name, warm


def main() -> None:
    """Warm every module and write its seconds, import included."""
    started = perf_counter()
    for name, warm in warmers():
        warm()
        ended = perf_counter()
        sys.stdout.write(f"kernels: {name} {ended - started:.1f} s\n")
        started = ended


if __name__ == "__main__":
    main()
