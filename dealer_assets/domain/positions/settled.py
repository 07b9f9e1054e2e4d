"""Settled positions of a session: what is believed when it opens, by every model that reads flow.

Belongs here: the morning's step from `gathered` evidence to `tables.DEALER_POSITIONS`. Does not
belong here: the filter (`posterior`), reading and writing (`settling`), Greeks (`exposure`).

A contract is followed from the first morning its open interest is told. Where the session before
was followed and the contract was not there, it has been listed since: dealers held none of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.columns import Bools, Floats, Ints, floats, nullable, words
from dealer_assets.domain.positions.assumptions import DECLARED, Assumptions
from dealer_assets.domain.positions.gathered import CONTRACT, Gathered, Morning, gather
from dealer_assets.domain.positions.interval import bounded
from dealer_assets.domain.positions.kinds import KINDS, expected_shares, kinds_of, money_of
from dealer_assets.domain.positions.models import MODELS, Holdings
from dealer_assets.domain.positions.posterior import State, first_sight, settle
from dealer_assets.domain.positions.trades import reliability


def settled_positions(morning: Morning, *, assumed: Assumptions = DECLARED) -> pa.Table:
    """Return the positions a session opens with.

    Parameters
    ----------
    morning : Morning
        What is held.
    assumed : Assumptions
        Declared constants.

    Returns
    -------
    pyarrow.Table
        `tables.DEALER_POSITIONS`: `reconciled` for every living contract whose open interest or
        position is known, `taker_flow` and `open_close` where such flow has been held. No rows
        where neither counts nor earlier positions are held.
    """
    table = tables.DEALER_POSITIONS
    found = gather(morning)
    if not found.contracts.num_rows:
        return table.schema.empty_table()
    is_new = _new(morning, found)
    state = _carried(morning, found, is_new, assumed)
    kept = np.isfinite(state.mean)
    parts = [_reconciled(found, state, is_new, assumed)]
    for model, net in (("taker_flow", found.trades_net), ("open_close", found.exact_net)):
        summed = _summed(morning, found, model, net)
        if summed is not None:
            parts.append(_counted(found, is_new, model, summed))
    rows = pa.concat_tables([_laid_out(morning, found, part, kept) for part in parts])
    return rows.sort_by([(name, "ascending") for name in table.key])


def _new(morning: Morning, found: Gathered) -> Bools:
    """Tell which contracts were listed since the session before: followed from their first day."""
    if not morning.previous.num_rows:
        return np.zeros(found.has_before.shape, np.bool_)
    grown = (found.oi_told == 0.0) | (found.flow.volume >= found.oi_told)
    return np.asarray(~found.has_before & (found.state == "ok") & grown)


def _carried(morning: Morning, found: Gathered, is_new: Bools, assumed: Assumptions) -> State:
    """Positions of the session before, moved by its flow; of contracts first seen, the prior."""
    n = found.has_before.size
    kind = _kinds(found)
    share, share_sd = _shares(found, assumed)
    held = found.has_before
    before = State(
        mean=np.where(held, floats(found.before, "filter_mean_contracts"), 0.0),
        variance=np.where(held, floats(found.before, "filter_sd_contracts") ** 2, 0.0),
        loading=np.where(held, floats(found.before, "kind_loading_contracts"), 0.0),
        kind=kind,
        share=share,
        share_sd=share_sd,
    )
    if not morning.previous.num_rows:
        return _first(before, found, np.ones(n, np.bool_), assumed)
    oi_before = np.where(is_new, 0.0, found.oi_before)
    moved = settle(before, found.flow, oi_before, found.oi_after, assumed=assumed)
    return _first(moved, found, ~held & ~is_new, assumed)


def _first(state: State, found: Gathered, where: Bools, assumed: Assumptions) -> State:
    """Put the prior in the place of contracts that nothing else is known of."""
    prior = first_sight(
        found.oi_told, kind=state.kind, share=state.share, share_sd=state.share_sd, assumed=assumed
    )
    return replace(
        state,
        mean=np.where(where, prior.mean, state.mean),
        variance=np.where(where, prior.variance, state.variance),
        loading=np.where(where, prior.loading, state.loading),
    )


def _kinds(found: Gathered) -> Ints:
    """Kinds by where the session traded; without trades a contract stays of the kind it was."""
    strike = floats(found.contracts, "strike")
    traded = money_of(strike, found.flow.volume)
    was = pc.fill_null(pc.index_in(found.before["kind"], value_set=pa.array(KINDS)), -1)
    number = np.array(was.to_numpy(), np.int64)
    money = traded or money_of(strike, found.oi_told) or float(np.median(strike))
    kind = kinds_of(found.is_call, strike, found.days, money=money)
    return kind if traded else np.where(number >= 0, number, kind)


def _shares(found: Gathered, assumed: Assumptions) -> tuple[Floats, Floats]:
    """Return what was learned of kinds until then; of others the declared prior."""
    share = expected_shares(assumed.shrink)
    share_sd = np.full(share.shape, assumed.kind_spread)
    names = ["kind", "kind_share", "kind_share_sd"]
    told = found.before.select(names).filter(found.has_before).group_by(names).aggregate([])
    number = np.array(pc.index_in(told["kind"], value_set=pa.array(KINDS)).to_numpy())
    share[number] = floats(told, "kind_share")
    share_sd[number] = floats(told, "kind_share_sd")
    return share, share_sd


def _summed(morning: Morning, found: Gathered, model: str, net: Floats) -> Floats | None:
    """Add the session's net to what a cumulating model has; None where it never had any."""
    rows = morning.previous.filter(pc.equal(morning.previous["model"], model))
    if not rows.num_rows and not np.any(net):
        return None
    place = pc.index_in(found.contracts["symbol"], value_set=rows["symbol"].combine_chunks())
    earlier = np.nan_to_num(floats(rows.take(place.combine_chunks()), "position_contracts"))
    return net - earlier


Part = dict[str, pa.Array | pa.Scalar]


def _reconciled(found: Gathered, state: State, is_new: Bools, assumed: Assumptions) -> Part:
    sd = state.sd
    limit = np.where(found.state == "ok", found.oi_told, np.nan)
    told = bounded(state.mean, sd, limit)
    held = Holdings(found.is_call, found.oi_told, posterior_mean=told.mean, posterior_sd=told.sd)
    positions = MODELS["reconciled"](held)
    oi = np.where(np.isnan(found.oi_told), floats(found.before, "open_interest_contracts"), limit)
    prior = (assumed.own_spread**2 + assumed.kind_spread**2) * oi**2
    with np.errstate(divide="ignore", invalid="ignore"):
        evidence = np.clip(1.0 - sd**2 / prior, 0.0, 1.0)
    return {
        "model": pa.scalar("reconciled"),
        "position_contracts": nullable(positions.contracts),
        "position_sd_contracts": nullable(positions.sd),
        "position_lo_contracts": nullable(told.lo),
        "position_hi_contracts": nullable(told.hi),
        "evidence_share": nullable(np.where(prior > 0.0, evidence, np.nan)),
        "effective_contracts": pa.array(_effective(found, is_new)),
        **_following(found, is_new),
        "kind": words(KINDS, state.kind),
        "kind_share": pa.array(state.share[state.kind]),
        "kind_share_sd": pa.array(state.share_sd[state.kind]),
        "kind_loading_contracts": nullable(state.loading),
        "filter_mean_contracts": nullable(state.mean),
        "filter_sd_contracts": nullable(np.sqrt(state.variance)),
    }


def _counted(found: Gathered, is_new: Bools, model: str, net: Floats) -> Part:
    """Lay out a model that adds up flow: it tells no interval."""
    key = "customer_net" if model == "taker_flow" else "market_maker_net"
    net = net if model == "taker_flow" else -net
    positions = MODELS[model](Holdings(found.is_call, found.oi_told, **{key: net}))
    return {
        "model": pa.scalar(model),
        "position_contracts": nullable(positions.contracts + 0.0),
        "position_sd_contracts": nullable(positions.sd),
        "effective_contracts": pa.array(_effective(found, is_new)),
        **_following(found, is_new),
    }


def _following(found: Gathered, is_new: Bools) -> Part:
    """For how long each contract has been followed, and whether from its listing on."""
    sessions = np.nan_to_num(floats(found.before, "sessions_of_flow"))
    fed = np.isfinite(found.flow.volume) & (found.has_before | is_new)
    since = np.array(pc.fill_null(found.before["is_since_listing"], False).to_numpy())
    return {
        "sessions_of_flow": pa.array((sessions + fed).astype(np.int32)),
        "is_since_listing": pa.array(is_new | (since & np.isfinite(found.flow.volume))),
    }


def _effective(found: Gathered, is_new: Bools) -> Floats:
    """Traded contracts, each for as much as its side is worth; of what is followed."""
    earlier = np.nan_to_num(floats(found.before, "effective_contracts"))
    volume = np.where(found.has_before | is_new, np.nan_to_num(found.flow.volume), 0.0)
    return earlier + reliability(found.flow) * volume


def _laid_out(morning: Morning, found: Gathered, part: Part, kept: Bools) -> pa.Table:
    table, n = tables.DEALER_POSITIONS, found.contracts.num_rows
    known = [
        pc.max(rows["known_at"]).as_py()
        for rows in (morning.previous, morning.flow, morning.counts)
        if rows.num_rows
    ]
    told: Part = {
        "underlying": pa.scalar(morning.underlying),
        "session_date": pa.scalar(morning.session_date, pa.date32()),
        "event_at": pa.scalar(morning.opened_at, tables.INSTANT),
        "known_at": pa.scalar(max(known), tables.INSTANT),
        **{name: found.contracts[name] for name in CONTRACT},
        "open_interest_contracts": nullable(found.oi_told),
        "open_interest_state": pa.array(found.state, pa.string()),
        **part,
    }
    columns = []
    for field in table.schema:
        value = told.get(field.name, pa.scalar(None, field.type))
        columns.append(pa.repeat(value, n) if isinstance(value, pa.Scalar) else value)
    names = table.schema.names
    laid = pa.table(dict(zip(names, columns, strict=True))).cast(table.schema, safe=True)
    return laid.filter(pa.array(kept))
