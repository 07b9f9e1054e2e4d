"""Cboe Open-Close files: who bought and sold, by origin, per series.

Belongs here: the columns, and how a session's volume is shared out. Does not belong here: where the
files go (`files_out`).

Bought over all origins is the series' volume, and so is sold. Every trade has a market maker on one
side, and what they buy less what they sell over the session, and what others open and close, is the
simulator's truth. Shares are fixed for the session and every split rounds down, so that cumulative
files never fall.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dealer_assets.providers.simulator.flow import Flow
from dealer_assets.providers.simulator.noise import counters, normal, stream_key
from dealer_assets_tests.exchange.cboe_rows import floats

Floats = NDArray[np.float64]

SIZES = ("lt_100", "100_199", "gt_199")
_INDEX_SECURITY = 2
_TERMS = (
    "ticker",
    "option_symbol",
    "call_put_flag",
    "expiration_date",
    "strike_price",
    "security_type",
    "series_type",
)
_AT_THE_END = ("open", "high", "low", "close", "open_interest")
_NOISE = 0.35


def origins() -> tuple[str, ...]:
    """Return the origins of a file: all but ``mm`` are split into opening and closing trades."""
    sized = [f"{who}_{size}" for who in ("cust", "procust") for size in SIZES]
    return ("mm", "firm", "bd", *sized)


def volume_columns() -> tuple[str, ...]:
    """Return the volume columns in the file's order."""
    split = [
        f"{origin}_{leg}_{side}_vol"
        for origin in origins()[1:]
        for side in ("buy", "sell")
        for leg in ("open", "close")
    ]
    return ("mm_buy_vol", "mm_sell_vol", *split)


def open_close_csv(rows: pa.Table, *, flow: Flow, seed: int, quote_date: date | None) -> bytes:
    """Return one file.

    Parameters
    ----------
    rows : pyarrow.Table
        Chain at the file's stamp; volume is cumulative, as the file's is.
    flow : Flow
        The session's whole trades and their truth, along the same contracts.
    seed : int
        Of the shares.
    quote_date : datetime.date or None
        Session of an end-of-day file; None: an interval file, whose price and open-interest
        columns are empty.
    """
    volume = floats(rows, "volume_contracts")
    columns = _terms(rows)
    columns |= {
        name: part.astype(int).tolist() for name, part in _split(volume, flow, seed).items()
    }
    count = rows.num_rows
    if quote_date is None:
        columns |= dict.fromkeys(_AT_THE_END, [""] * count)
    else:
        columns = {
            "quote_date": [quote_date.isoformat()] * count,
            "underlying_symbol": [f"^{symbol}" for symbol in rows["underlying"].to_pylist()],
        } | columns
        prices = [f"{price:.2f}" for price in floats(rows, "last_price").tolist()]
        columns |= dict.fromkeys(_AT_THE_END[:4], prices)
        interest = floats(rows, "open_interest_contracts").astype(int).tolist()
        columns |= {
            "total_exchange_vol": volume.astype(int).tolist(),
            "total_industry_vol": volume.astype(int).tolist(),
            "open_interest": interest,
        }
    lines = [",".join(columns)]
    lines += [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    lines.append(_non_standard(columns, lines[-1]))
    return ("\n".join(lines) + "\n").encode()


def _terms(rows: pa.Table) -> dict[str, list[Any]]:
    count = rows.num_rows
    values: tuple[list[Any], ...] = (
        rows["underlying"].to_pylist(),
        rows["root"].to_pylist(),
        ["C" if right == "call" else "P" for right in rows["right"].to_pylist()],
        [day.isoformat() for day in rows["expiry_date"].to_pylist()],
        [f"{strike:.3f}" for strike in rows["strike"].to_pylist()],
        [_INDEX_SECURITY] * count,
        ["S"] * count,
    )
    return dict(zip(_TERMS, values, strict=True))


def _non_standard(columns: dict[str, list[Any]], like: str) -> str:
    """A row of a series that is no standard one, to be left out by readers."""
    cells = like.split(",")
    names = list(columns)
    cells[names.index("series_type")] = "N"
    cells[names.index("option_symbol")] = f"2{cells[names.index('ticker')]}"
    return ",".join(cells)


def _split(volume: Floats, flow: Flow, seed: int) -> dict[str, Floats]:
    """Share volume out over origins, twice: bought and sold."""
    bought = _part(volume, flow.bought, flow.volume)
    of_others = {"buy": bought, "sell": volume - bought}
    in_all = {"buy": flow.bought, "sell": flow.volume - flow.bought}
    to_open = {"buy": flow.bought_to_open, "sell": flow.sold_to_open}
    shared: dict[str, Floats] = {"mm_buy_vol": of_others["sell"], "mm_sell_vol": of_others["buy"]}
    for side, total in of_others.items():
        opened = _part(total, to_open[side], in_all[side])
        for leg, part in (("open", opened), ("close", total - opened)):
            weights = _weights(volume.size, seed, side, leg)
            parts = _stick_breaking(part, weights)
            for origin, own in zip(origins()[1:], parts, strict=True):
                shared[f"{origin}_{leg}_{side}_vol"] = own
    return {name: shared[name] for name in volume_columns()}


def _part(so_far: Floats, part: Floats, whole: Floats) -> Floats:
    """Take a part of what is reached of a whole; neither it nor the rest falls on the way."""
    return np.floor(so_far * part / np.maximum(whole, 1.0) + 1e-9)


def _weights(count: int, seed: int, side: str, leg: str) -> list[Floats]:
    """Weights of firms, brokers, customers and professional ones by size."""
    address = counters(0, count)
    return [
        weight * np.exp(_NOISE * normal(stream_key(seed, "open_close", side, leg, i), address))
        for i, weight in enumerate((1.0, 0.5, 2.4, 0.6, 1.0, 0.5, 0.1, 0.2))
    ]


def _stick_breaking(total: Floats, weights: list[Floats]) -> list[Floats]:
    """Whole parts by weight that sum to the total; none falls when the total rises."""
    left, left_weight = total.copy(), np.sum(weights, axis=0)
    parts: list[Floats] = []
    for weight in weights[:-1]:
        part = np.floor(left * (weight / left_weight))
        parts.append(part)
        left, left_weight = left - part, left_weight - weight
    return [*parts, left]
