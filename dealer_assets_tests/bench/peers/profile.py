"""The gamma profile as others compute it: sum of position x gamma over the chain at each spot.

Belongs here: the same sum in numpy, numexpr, polars, DuckDB and a notebook's loop. Does not belong
here: ours. All of them are given what they need per contract (total vol, d1 at today's spot,
weight) and the levels; sticky strike, forwards moving with spot:

    profile(S') = sum w phi(d1 + ln(S'/S) / total) * S'/S
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dealer_assets_tests.bench.chain import Contracts, Floats

Run = Callable[[], Floats]

_ROOT = 1.0 / math.sqrt(2.0 * math.pi)


@dataclass(frozen=True)
class Book:
    """Contracts with dealer positions, and the levels to price them at.

    Parameters
    ----------
    contracts : Contracts
        n contracts.
    position : float64 array, shape (n,)
        Contracts held by dealers times the multiplier, signed.
    levels : float64 array, shape (m,)
        Spots.
    """

    contracts: Contracts
    position: Floats
    levels: Floats

    def parts(self) -> tuple[Floats, Floats, Floats]:
        """Total vol, d1 at today's spot, and weight in USD per 1 %, each shape (n,)."""
        c = self.contracts
        total = c.sigma * np.sqrt(c.T)
        d1 = np.log(c.F / c.K) / total + 0.5 * total
        weight = self.position * 0.01 * c.D * c.F / total
        return total, d1, weight

    def shifts(self) -> Floats:
        """``ln(S'/S)`` of each level, shape (m,)."""
        return np.log(self.levels / self.contracts.S[0])


def exact(book: Book) -> Floats:
    """Return the profile in 80-bit arithmetic, to judge the others by."""
    total, d1, weight = (v.astype(np.longdouble) for v in book.parts())
    shifts = book.shifts().astype(np.longdouble)
    root = 1 / np.sqrt(2 * np.longdouble(math.pi))
    sums = [(weight * np.exp(-((d1 + u / total) ** 2) / 2)).sum() * np.exp(u) for u in shifts]
    return np.asarray(np.array(sums) * root, np.float64)


def numpy_in_place(book: Book) -> Run:
    """Write what numpy does best: one row at a time, in place, contiguous, a dot product."""
    total, d1, weight = book.parts()
    inverse, shifts = 1.0 / total, book.shifts()
    row = np.empty_like(d1)

    def run() -> Floats:
        out = np.empty(shifts.size)
        for j, u in enumerate(shifts):
            np.multiply(inverse, u, out=row)
            np.add(row, d1, out=row)
            np.multiply(row, row, out=row)
            np.multiply(row, -0.5, out=row)
            np.exp(row, out=row)
            out[j] = row @ weight
        return out * np.exp(shifts) * _ROOT

    return run


def numpy_plain(book: Book) -> Run:
    """Write gamma's formula at each level, as it stands in a book."""
    c = book.contracts

    def run() -> Floats:
        out = np.empty(book.levels.size)
        for j, spot in enumerate(book.levels):
            forward = c.F * (spot / c.S)
            total = c.sigma * np.sqrt(c.T)
            d1 = np.log(forward / c.K) / total + 0.5 * total
            density = np.exp(-0.5 * d1**2) / np.sqrt(2 * np.pi)
            gamma = c.D * forward / spot * density / (spot * total)
            out[j] = np.sum(book.position * gamma * spot**2 * 0.01)
        return out

    return run


def numpy_broadcast(book: Book) -> Run:
    """Write it in one expression over a contracts x levels table."""
    total, d1, weight = book.parts()
    shifts = book.shifts()

    def run() -> Floats:
        z = d1[None, :] + shifts[:, None] / total[None, :]
        return np.exp(-0.5 * z * z) @ weight * np.exp(shifts) * _ROOT

    return run


def numexpr_rows(book: Book) -> Run:
    import numexpr

    total, d1, weight = book.parts()
    inverse, shifts = 1.0 / total, book.shifts()
    expression = "sum(w * exp(-0.5 * (d + u * i) ** 2))"

    def run() -> Floats:
        out = np.empty(shifts.size)
        for j, u in enumerate(shifts):
            names = {"w": weight, "d": d1, "i": inverse, "u": u}
            out[j] = numexpr.evaluate(expression, local_dict=names)
        return out * np.exp(shifts) * _ROOT

    numexpr.set_num_threads(1)
    return run


def polars_columns(book: Book) -> Run:
    import polars as pl

    total, d1, weight = book.parts()
    shifts = book.shifts()
    frame = pl.DataFrame({"d": d1, "i": 1.0 / total, "w": weight})
    z = [pl.col("d") + float(u) * pl.col("i") for u in shifts]
    sums = [
        (pl.col("w") * (-0.5 * each * each).exp()).sum().alias(str(j)) for j, each in enumerate(z)
    ]
    return lambda: np.array(frame.select(sums).row(0)) * np.exp(shifts) * _ROOT


def duckdb_cross_join(book: Book) -> Run:
    import duckdb
    import pyarrow as pa

    total, d1, weight = book.parts()
    shifts = book.shifts()
    connection = duckdb.connect(config={"threads": "1"})
    contracts = pa.table({"d": d1, "i": 1.0 / total, "w": weight})
    connection.register("incoming", contracts)
    connection.execute("create table contracts as select * from incoming")
    connection.register("incoming_levels", pa.table({"u": shifts}))
    connection.execute("create table levels as select * from incoming_levels")
    query = """
        select u, sum(w * exp(-0.5 * (d + u * i) * (d + u * i))) as total
        from contracts cross join levels group by u order by u
    """
    return lambda: connection.execute(query).fetchnumpy()["total"] * np.exp(np.sort(shifts)) * _ROOT


def notebook_loop(book: Book) -> Run:
    """Write what published notebooks do: a function of one option, applied row by row, per level.

    A stand-in written here for that style (`DataFrame.apply` over the chain for each spot); no
    notebook's own code.
    """
    import pandas as pd
    from scipy.stats import norm

    c = book.contracts
    columns = {"K": c.K, "T": c.T, "v": c.sigma, "F": c.F, "S": c.S, "D": c.D}
    frame = pd.DataFrame({**columns, "position": book.position})

    def gamma_exposure(row: "pd.Series[float]", spot: float) -> float:
        forward = row["F"] * spot / row["S"]
        total = row["v"] * math.sqrt(row["T"])
        d1 = math.log(forward / row["K"]) / total + 0.5 * total
        gamma = row["D"] * forward / spot * norm.pdf(d1) / (spot * total)
        return row["position"] * gamma * spot * spot * 0.01

    def run() -> Floats:
        totals = [
            frame.apply(lambda row, s=spot: gamma_exposure(row, s), axis=1).sum()
            for spot in book.levels
        ]
        return np.array(totals)

    return run
