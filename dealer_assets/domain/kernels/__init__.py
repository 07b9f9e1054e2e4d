"""Compiled kernels: plain loops over float64 arrays, turned into vector instructions by numba.

Belongs here: the arithmetic that costs time, with `compilation` (how it is compiled and cached) and
`elementary` (the functions every kernel inlines). Does not belong here: validation, units,
vocabulary or tables; those are the callers', which import a kernel inside the function that needs
it, because numba costs half a second to import. Kernel modules do not import each other: what two
of them need is `elementary`. Why numba, and what keeps it fast: `docs/adr/0011-kernels.md`.
"""
