"""Brings arguments into the one form that kernels are compiled for.

Belongs here: broadcasting and conversion. Does not belong here: judging values, which kernels do.

A kernel is compiled anew for every combination of argument types, read-only and strided arrays
included; seconds each time, in the middle of a tick.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.uint8]


def flatten(*numbers: ArrayLike, is_call: ArrayLike) -> tuple[tuple[int, ...], list[Floats], Flags]:
    """Broadcast against each other, then flatten.

    Parameters
    ----------
    numbers : array_like
        Real numbers of any shape; not checked, NaN passes.
    is_call : array_like of bool
        True for calls.

    Returns
    -------
    shape : tuple of int
        The common shape.
    numbers : list of float64 array, shape (n,)
        Contiguous, aligned and writeable; the very arguments where they are so already, hence to
        be read only.
    is_call : uint8 array, shape (n,)
        1 for calls, 0 for puts.

    Raises
    ------
    ValueError
        Where shapes cannot be broadcast or a value is no number; numpy's own.
    """
    arrays = [np.asarray(values, np.float64) for values in numbers]
    calls = np.asarray(is_call, np.bool_)
    shape = calls.shape
    if any(array.shape != shape for array in arrays):
        shape = np.broadcast_shapes(shape, *(array.shape for array in arrays))
        arrays = [np.broadcast_to(array, shape) for array in arrays]
        calls = np.broadcast_to(calls, shape)
    flat = [np.require(array, requirements=("C", "A", "W")).reshape(-1) for array in arrays]
    return shape, flat, np.require(calls, requirements=("C", "A", "W")).reshape(-1).view(np.uint8)
