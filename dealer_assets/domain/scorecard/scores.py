"""Scores of one session's levels as rows, and of the sessions up to it.

Belongs here: which levels are scored and when one counts, rows of `level_scores`. Does not belong
here: outcomes and chance themselves, reading the lake. Source: `docs/methods/scorecard.md`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Floats, floats
from dealer_assets.domain.exposure.pins import move_column
from dealer_assets.domain.scorecard.chance import Card, Rate, score_card
from dealer_assets.domain.scorecard.outcomes import Paths, outcomes
from dealer_assets.domain.scorecard.paths import SessionPath
from dealer_assets.tables.pins import LEVEL_KINDS

SCORE_WINDOW = 60
"""Scored sessions that the trailing columns look at, the row's own included."""

LEAST_PATH_SHARE = 0.5
"""A path over less of its session than this tells too little of what was touched."""

_WALLS = ("call_wall", "put_wall", "absolute_gamma_strike", "max_pain")
_PINS = ("pin_1", "pin_2", "pin_3")


@dataclass(frozen=True)
class Level:
    """One level as it was settled.

    Parameters
    ----------
    kind, state : str
        Of `tables.pins.LEVEL_KINDS` and `LEVEL_STATES`.
    price : float or None
        USD.
    """

    kind: str
    state: str
    price: float | None


def round_number(price: float) -> float:
    """Nearest round price: a multiple of the 1, 2 or 5 times a power of ten nearest to 1 % of it.

    Parameters
    ----------
    price : float
        USD.
    """
    powers = 10.0 ** np.floor(np.log10(price * 0.01) + np.array([0.0, 1.0]))
    steps = np.outer(powers, [1.0, 2.0, 5.0]).ravel()
    step = steps[np.argmin(np.abs(np.log(steps / (price * 0.01))))]
    return float(np.round(price / step) * step)


def settled_levels(row: dict[str, Any], pins: pa.Table) -> list[Level]:
    """List the levels of a snapshot in the order of `tables.pins.LEVEL_KINDS`.

    Parameters
    ----------
    row : dict
        One `tables.EXPOSURE_LEVELS` row.
    pins : pyarrow.Table
        Its `tables.PIN_LEVELS` rows of the same model; without any, pins are ``not_held``.
    """
    ranked = pins.filter(pins["is_pin"])
    pinned = dict(zip(ranked["pin_rank"].to_pylist(), ranked["strike"].to_pylist(), strict=True))
    prices = {kind: row[kind] for kind in _WALLS}
    prices |= {kind: pinned.get(i + 1) for i, kind in enumerate(_PINS)}
    prices |= {"flip": row["flip_price"], "round_number": round_number(row["spot"])}
    lost = () if pins.num_rows else _PINS
    return [
        Level(kind, "not_held" if kind in lost else _state(row, kind, prices[kind]), prices[kind])
        for kind in LEVEL_KINDS
    ]


def _state(row: dict[str, Any], kind: str, price: float | None) -> str:
    if price is None:
        return "none"
    is_sure = row["is_publishable"] or kind == "round_number"
    if kind == "flip":
        is_sure = is_sure and row["flip_status"] == "ok"
    return "ok" if is_sure else "doubtful"


def level_scores(
    levels: pa.Table, pins: pa.Table, path: SessionPath, *, earlier: pa.Table, day: date
) -> pa.Table:
    """Score the levels settled the session before in one session, model by model.

    Parameters
    ----------
    levels : pyarrow.Table
        `tables.EXPOSURE_LEVELS` rows of the session before; each model's last counts.
    pins : pyarrow.Table
        `tables.PIN_LEVELS` rows of the same snapshots.
    path : SessionPath
        Prices of the session.
    earlier : pyarrow.Table
        `tables.LEVEL_SCORES` rows of earlier sessions; later ones are passed over.
    day : datetime.date
        The session.

    Returns
    -------
    pyarrow.Table
        `tables.LEVEL_SCORES` schema, sorted by its key; empty without levels.
    """
    past = earlier.filter(pc.less(earlier["session_date"], pa.scalar(day, pa.date32())))
    past = past.combine_chunks()  # a part is a chunk, and every filter would visit each
    rows: list[dict[str, Any]] = []
    for row in last_of_each_model(levels):
        same = pc.and_(
            pc.equal(pins["model"], row["model"]),
            pc.equal(pins["event_at"], pa.scalar(row["event_at"], pins["event_at"].type)),
        )
        own_past, own_pins = past.filter(pc.equal(past["model"], row["model"])), pins.filter(same)
        known_at = max(row["known_at"], path.known_at, *_known(own_past), *_known(own_pins))
        settled = settled_levels(row, own_pins)
        own = row | {"known_at": known_at}
        rows += [_row(own, level, path, past=own_past, day=day) for level in settled]
    schema = tables.LEVEL_SCORES.schema
    made = pa.Table.from_pylist(rows, schema=schema)
    return made.sort_by([(name, "ascending") for name in tables.LEVEL_SCORES.key])


def last_of_each_model(levels: pa.Table) -> list[dict[str, Any]]:
    """Return the latest row of each model, models in order."""
    last = {row["model"]: row for row in levels.sort_by("event_at").to_pylist()}
    return [last[model] for model in sorted(last)]


def _row(
    row: dict[str, Any], level: Level, path: SessionPath, *, past: pa.Table, day: date
) -> dict[str, Any]:
    reference, move = float(row["spot"]), row[move_column(row["underlying"])]
    made = {
        "underlying": row["underlying"],
        "session_date": day,
        "event_at": path.last_at,
        "known_at": row["known_at"],
        "model": row["model"],
        "level_kind": level.kind,
        "level_state": level.state,
        "level_price": level.price,
        "set_at": row["event_at"],
        "reference_price": reference,
        "expected_move_usd": move,
        "path_source": path.source,
        "path_points": path.points,
        "path_share": path.share,
        "open_price": path.opened,
        "high_price": path.high,
        "low_price": path.low,
        "close_price": path.close,
        "is_scored": False,
    }
    if level.price is not None and move:
        # as `scaled` does, to the last bit: a session's high at the level touches it
        made["distance_moves"] = float(np.log(level.price / reference) / (move / reference))
        made["is_scored"] = level.state == "ok" and path.share >= LEAST_PATH_SHARE
    if made["is_scored"]:
        made |= _outcome(made)
    return made | _trailing(made, past.filter(pc.equal(past["level_kind"], level.kind)))


def _known(rows: pa.Table) -> list[Any]:
    return [pc.max(rows["known_at"]).as_py()] if rows.num_rows else []


def _outcome(made: dict[str, Any]) -> dict[str, Any]:
    scored = pa.Table.from_pylist([made], schema=tables.LEVEL_SCORES.schema)
    found = outcomes(*scaled(scored))
    touched = bool(found.touched[0])
    return {
        "is_touched": touched,
        "is_held": bool(found.held[0]) if touched else None,
        "is_closed_beyond": bool(found.closed_beyond[0]) if touched else None,
        "close_distance_moves": float(found.distance[0]),
    }


def scaled(scores: pa.Table) -> tuple[Floats, Paths]:
    """Return levels and sessions of scored rows in expected moves, shape (n,) each.

    Parameters
    ----------
    scores : pyarrow.Table, shape (n,)
        Scored rows of `tables.LEVEL_SCORES`.
    """
    reference = floats(scores, "reference_price")
    move = floats(scores, "expected_move_usd") / reference
    bars = (
        np.log(floats(scores, f"{name}_price") / reference) / move
        for name in ("open", "high", "low", "close")
    )
    return floats(scores, "distance_moves"), Paths(*bars)


def _trailing(made: dict[str, Any], past: pa.Table) -> dict[str, Any]:
    scored = past.filter(past["is_scored"]).sort_by("session_date")
    if made["is_scored"]:
        own = pa.Table.from_pylist([made | _NO_TRAIL], schema=scored.schema)
        scored = pa.concat_tables([scored, own])
    scored = scored.slice(max(scored.num_rows - SCORE_WINDOW, 0))
    name = "|".join(
        str(made[part]) for part in ("underlying", "model", "level_kind", "session_date")
    )
    return card_columns(score_card(*scaled(scored), seed=zlib.crc32(name.encode())))


_NO_TRAIL = {"trailing_sessions": 0, "trailing_touched": 0}


def card_columns(card: Card) -> dict[str, Any]:
    """Lay a card out as the trailing columns of `tables.LEVEL_SCORES`."""
    return {
        "trailing_sessions": card.sessions,
        "trailing_touched": card.touched,
        **_rate("touched_share", card.touched_share),
        **_rate("held_share", card.held_share),
        **_rate("closed_beyond_share", card.closed_beyond_share),
        **_rate("mean_close_distance", card.mean_distance),
    }


def _rate(name: str, rate: Rate) -> dict[str, float | None]:
    told = {name: rate.found, f"{name}_base": rate.base, f"{name}_p": rate.p_value}
    return {column: value if np.isfinite(value) else None for column, value in told.items()}
