"""What the lake says of the live process now: for terminals, without asking the process.

Belongs here: the newest rows of live tables. Does not belong here: how they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain import sessions
from dealer_assets.domain.columns import floats
from dealer_assets.lake.layout import part_order
from dealer_assets.lake.reader import list_parts, read_part, read_partition, sessions_held
from dealer_assets.lake.storage import Lake
from dealer_assets.tables.live import LIVE_FLOW, LIVE_GAMMA
from dealer_assets.underlyings import Underlying

STALE = timedelta(minutes=3)
"""Parts close every minute: within a session, older data mean that nothing is written."""

_BUCKET = ["interval", "right", "tenor", "size_bucket"]


@dataclass(frozen=True)
class Latest:
    """The newest second of one underlying in the lake.

    Parameters
    ----------
    at : datetime.datetime
        UTC.
    feed : str
        Where it came through.
    spot : float
        USD.
    gammas : dict of str to float
        Net gamma [USD per 1 % spot] by model; ``naive`` is absent without open interest,
        ``live_reconciled`` without settled positions.
    gamma_sds : dict of str to float
        Its standard deviation, of the models that tell one.
    hedge_flow_usd : float
        Cumulative hedging flow of the session.
    trades : int
        Prints of the session so far.
    state : {"fresh", "stale", "closed"}
        Stale: the session is open, and nothing newer is written.
    """

    at: datetime
    feed: str
    spot: float
    gammas: dict[str, float]
    gamma_sds: dict[str, float]
    hedge_flow_usd: float
    trades: int
    state: str

    def age(self, now: datetime) -> timedelta:
        """Return how old it is."""
        return now - self.at


def latest(lake: Lake, lane: Underlying, *, now: datetime) -> Latest | None:
    """Return the newest second of an underlying, or None where nothing was ever streamed.

    Parameters
    ----------
    lake : Lake
        Storage.
    lane : Underlying
        Registry entry.
    now : datetime.datetime
        UTC, for the state.
    """
    days = sessions_held(lake, LIVE_GAMMA, lane.symbol)
    if not days:
        return None
    parts = list_parts(lake, LIVE_GAMMA, lane.symbol, days[-1])
    parts.sort(key=lambda part: part_order(part.name))
    rows = read_part(lake, LIVE_GAMMA, parts[-1])
    newest = rows.filter(pc.equal(rows["event_at"], pc.max(rows["event_at"])))
    first = newest.slice(0, 1).to_pylist()[0]
    models = newest["model"].to_pylist()
    gammas = floats(newest, "net_gamma_exposure_usd_per_pct").tolist()
    sds = newest["net_gamma_sd_usd_per_pct"].to_pylist()
    columns = [*_BUCKET, "event_at", "cumulative_hedge_flow_usd"]
    flow = read_partition(lake, LIVE_FLOW, lane.symbol, days[-1], columns=columns)
    is_open = sessions.is_open(lane.calendar, now)
    state = "fresh" if now - first["event_at"] <= STALE else "stale" if is_open else "closed"
    return Latest(
        at=first["event_at"],
        feed=first["feed"],
        spot=first["spot"],
        gammas=dict(zip(models, gammas, strict=True)),
        gamma_sds={m: sd for m, sd in zip(models, sds, strict=True) if sd is not None},
        hedge_flow_usd=_cumulative(flow),
        trades=first["trades"],
        state=state,
    )


def _cumulative(flow: pa.Table) -> float:
    """Add up the last cumulative flow of every bucket of minutes."""
    if not flow.num_rows:
        return 0.0
    minutes = flow.filter(pc.equal(flow["interval"], "minute")).sort_by("event_at")
    last = minutes.group_by(_BUCKET, use_threads=False).aggregate(
        [("cumulative_hedge_flow_usd", "last")]
    )
    return float(pc.sum(last["cumulative_hedge_flow_usd_last"]).as_py() or 0.0)
