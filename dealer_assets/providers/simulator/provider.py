"""The simulator as a provider: snapshots of the embedded market, and the instants worth asking for.

Belongs here: instants in, rows out. Does not belong here: how the market moves (`market`), what is
listed (`listing`), held (`flow`) and quoted (`quotes`). There is no payload, so `source_sha256` is
the hash of the source's name, which determines every row.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

from dealer_assets import tables
from dealer_assets.domain import sessions
from dealer_assets.domain.rates import SIMPLE_UP_TO_YEARS, RateCurve, curve_from_par
from dealer_assets.errors import BadInputError, NoDataError
from dealer_assets.providers.base import ChainProvider, ChainSnapshot
from dealer_assets.providers.simulator import market
from dealer_assets.providers.simulator.flow import Flow, session_flow
from dealer_assets.providers.simulator.listing import DEFAULT_DENSITY, Floats, Ints, session_listing
from dealer_assets.providers.simulator.profiles import profile_of
from dealer_assets.providers.simulator.quotes import (
    Session,
    displayed_quotes,
    fair_values,
    trade_prices,
    vendor_greeks,
)
from dealer_assets.underlyings import Underlying, underlying as registry_entry

FEED_LATENCY = timedelta(seconds=1)
"""Declared: a simulated quote can be read this long after its instant."""

_ONE_MINUTE = timedelta(minutes=1)
_MAX_DENSITY = 2.0


class SimulatorProvider(ChainProvider):
    """A market that exists only here: any session from 2012 to 2035, the same for everyone.

    A snapshot is a pure function of seed, density, underlying and minute: no state, no clock.

    Parameters
    ----------
    seed : int
        Which market.
    density : float
        How far from the money strikes stay fine, in (0, 2]: 0.5 lists about 10,000 SPX contracts,
        1.0 about 18,000.

    Raises
    ------
    BadInputError
        When the density is out of range.
    """

    name = "simulator"
    can_replay = True

    def __init__(self, *, seed: int = 7, density: float = DEFAULT_DENSITY) -> None:
        if not 0.0 < density <= _MAX_DENSITY:
            raise BadInputError(
                f"expected a simulator density in (0, {_MAX_DENSITY:g}], found {density:g}: "
                f"{DEFAULT_DENSITY:g} is the default, 1 is as dense as real chains"
            )
        self.seed = seed
        self.density = density

    def rate_curve(self, day: date) -> RateCurve:
        """Return the flat curve that simulated US chains are discounted with."""
        rate = profile_of(registry_entry("SPX")).rate
        tenors = np.array([1.0 / 12.0, 0.25, 0.5, 1.0, 2.0, 5.0])
        par = np.where(tenors <= SIMPLE_UP_TO_YEARS, np.expm1(rate * tenors) / tenors, 0.0)
        par = np.where(tenors > SIMPLE_UP_TO_YEARS, 2.0 * np.expm1(0.5 * rate), par)
        return curve_from_par(day, tenors, par)

    def snapshot(self, underlying: Underlying, *, at: datetime) -> ChainSnapshot:
        """Return the simulated chain at the minute that holds an instant.

        Parameters
        ----------
        underlying : Underlying
            Registry entry.
        at : datetime.datetime
            Instant with a time zone; floored to the minute.

        Returns
        -------
        ChainSnapshot
            Whole chain, no finding. US quotes go on for 15 minutes after the close; the last of
            them is the close snapshot.

        Raises
        ------
        NoDataError
            Outside open hours, on holidays, and before 2012 or after 2035.
        BadInputError
            When the instant has no time zone.
        """
        event_at, day = _open_minute(underlying, at)
        listing = session_listing(self.seed, underlying.symbol, day=day, density=self.density)
        opened = sessions.session_open(underlying.calendar, day)
        session = Session(
            seed=self.seed,
            symbol=underlying.symbol,
            profile=profile_of(underlying),
            listing=listing,
            path=market.day_path(self.seed, underlying.symbol, day),
            open_us=int(opened.timestamp()) * 1_000_000,
        )
        flow = session_flow(self.seed, underlying.symbol, day=day, density=self.density)
        minute = (event_at - opened) // _ONE_MINUTE
        known_at = event_at + FEED_LATENCY
        stamps = {"session_date": day, "event_at": event_at, "known_at": known_at}
        rows = _rows(underlying, session, flow=flow, minute=minute, stamps=stamps)
        name = self._source_name(underlying, event_at)
        return ChainSnapshot(
            underlying=underlying.symbol,
            session_date=day,
            event_at=event_at,
            known_at=known_at,
            provider=self.name,
            source_name=name,
            source_sha256=hashlib.sha256(name.encode()).hexdigest(),
            rows=rows,
        )

    def _source_name(self, underlying: Underlying, event_at: datetime) -> str:
        name = f"simulator {underlying.symbol} {event_at:%Y-%m-%dT%H:%MZ} seed={self.seed}"
        return name if self.density == DEFAULT_DENSITY else f"{name} density={self.density:g}"


def snapshot_times(
    underlying: Underlying, session_date: date, *, per_session: int
) -> list[datetime]:
    """Return instants spread evenly over a session, the last its final quoted minute.

    Parameters
    ----------
    underlying : Underlying
        Registry entry.
    session_date : datetime.date
        A session of its calendar.
    per_session : int
        How many; 1 gives the close snapshot alone.

    Returns
    -------
    list of datetime.datetime
        UTC, ascending, whole minutes.

    Raises
    ------
    BadInputError
        When the day is no session, or has fewer minutes than instants wanted.
    """
    opened = sessions.session_open(underlying.calendar, session_date)
    minutes = (sessions.quotes_end(underlying.calendar, session_date) - opened) // _ONE_MINUTE
    if not 1 <= per_session <= minutes:
        raise BadInputError(
            f"expected 1 to {minutes} snapshots in the session {session_date} of "
            f"{underlying.symbol}, found {per_session}"
        )
    steps = [minutes * (i + 1) // per_session for i in range(per_session)]
    return [opened + step * _ONE_MINUTE for step in steps]


def _open_minute(underlying: Underlying, at: datetime) -> tuple[datetime, date]:
    """Floor an instant to its minute, and refuse it when nothing quotes then."""
    if at.tzinfo is None:
        raise BadInputError(f"expected an instant with a time zone, found {at.isoformat()}")
    instant = at.astimezone(UTC).replace(second=0, microsecond=0)
    if not market.FIRST <= instant.date() <= market.LAST:
        raise NoDataError(
            f"the simulated market exists from {market.FIRST} to {market.LAST}, "
            f"found {instant:%Y-%m-%d}: ask for a session in between"
        )
    calendar = underlying.calendar
    day = sessions.session_of(calendar, instant)
    if not sessions.is_open(calendar, instant) or day < market.FIRST:
        following = sessions.next_session(calendar, day)
        spans = " or ".join(
            f"{sessions.session_open(calendar, d):%Y-%m-%d %H:%M} to "
            f"{sessions.quotes_end(calendar, d):%H:%M} UTC"
            for d in (day, following)
        )
        raise NoDataError(
            f"{underlying.symbol} options do not quote at {instant:%Y-%m-%d %H:%M} UTC: "
            f"ask for an instant in a session, {spans}"
        )
    return instant, day


def _rows(
    underlying: Underlying,
    session: Session,
    *,
    flow: Flow,
    minute: int,
    stamps: dict[str, date],
) -> pa.Table:
    listing = session.listing
    n = listing.strike.size
    at = session.live_minute(minute)
    fair = fair_values(session, np.arange(n), minute=at)
    bid, ask, bid_size, ask_size = displayed_quotes(
        session, minute=minute, fair=fair, open_interest=flow.open_interest
    )
    volume, last_price, last_trade_us = _trades(underlying, session, flow=flow, minute=minute)
    is_deribit = underlying.kind == "crypto"
    vol, delta, gamma = vendor_greeks(fair, is_call=listing.is_call, is_deribit=is_deribit)
    floats: dict[str, Floats] = {
        "bid": bid,
        "ask": ask,
        "bid_size_contracts": bid_size,
        "ask_size_contracts": ask_size,
        "last_price": last_price,
        "volume_contracts": volume,
        "open_interest_contracts": flow.open_interest,
        "venue_forward": np.round(fair.forward, 2) if is_deribit else np.full(n, np.nan),
        "vendor_implied_vol": vol,
        "vendor_delta": delta,
        "vendor_gamma": gamma,
    }
    spot = float(session.path.spot[min(minute, session.path.minutes)])
    constants = stamps | {"provider": "simulator", "spot": spot, "spot_source": "simulated"}
    schema = tables.CHAIN_SNAPSHOTS.schema
    columns = dict(listing.columns)
    columns |= {name: pa.array(values, mask=np.isnan(values)) for name, values in floats.items()}
    columns |= {
        name: pa.repeat(pa.scalar(value, schema.field(name).type), n)
        for name, value in constants.items()
    }
    traded = pa.array(last_trade_us, mask=volume <= 0.0)
    columns["last_trade_at"] = traded.cast(schema.field("last_trade_at").type)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _trades(
    underlying: Underlying, session: Session, *, flow: Flow, minute: int
) -> tuple[Floats, Floats, Ints]:
    """Volume so far, last price (NaN without one) and its instant in microseconds (0 without)."""
    listing, path = session.listing, session.path
    clock = market.activity_clock(underlying.calendar, path.minutes)
    # a series does its whole volume by its expiry, or by the last minute that can be asked for:
    # around the clock that is the one before the next day's first
    last_minute = path.minutes - (underlying.calendar == "24/7")
    ends = np.clip((listing.expires_us - session.open_us) // 60_000_000, 0, last_minute)
    at_end = np.where(ends > 0, clock[ends], 1.0)[listing.slice_id]
    done = clock[np.minimum(session.live_minute(minute), path.minutes)] / at_end
    volume = flow.volume_by(np.minimum(done, 1.0))

    traded = np.flatnonzero(volume > 0.0)
    share = flow.last_trade_share(volume)[traded] * at_end[traded]
    when = np.interp(share, clock, np.arange(path.minutes + 1, dtype=np.float64))
    when = np.minimum(when, session.live_minute(minute)[traded])
    last_price = np.full(volume.size, np.nan)
    last_price[traded] = trade_prices(
        session,
        traded,
        minute=when.astype(np.int64),
        open_interest=flow.open_interest[traded],
    )
    last_trade_us = np.zeros(volume.size, np.int64)
    last_trade_us[traded] = session.open_us + (when * 60.0).astype(np.int64) * 1_000_000
    return volume, last_price, last_trade_us
