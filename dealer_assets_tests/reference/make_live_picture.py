"""Draw the README's picture of a live session: the simulator's first hour of SPX.

Run by hand: ``python dealer_assets_tests/reference/make_live_picture.py``. Decoder and engine are
those of `dealer live`; the same rows, so the same picture, come out every time.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import Floats, floats
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.tables.live import LIVE_FLOW, LIVE_GAMMA
from dealer_assets.underlyings import underlying
from streaming.core.engine import Engine, EngineOptions
from streaming.core.listing import Listing
from streaming.core.numbering import Sequences
from streaming.feeds.packed import PackedDecoder
from streaming.feeds.simulator import session_tape

TARGET = Path(__file__).parents[2] / "docs" / "pictures" / "live_gamma.png"
DAY, SYMBOL, MINUTES = date(2026, 11, 20), "SPX", 60
QUOTED = 100_000  # all of them
INK, MUTED, CALLS, PUTS, TODAY = "#1f2933", "#7b8794", "#1b7f79", "#b3412c", "#6b4fa0"


def rows_of_an_hour(minutes: int = MINUTES, *, density: float = 0.2) -> dict[str, pa.Table]:
    """Return rows of `LIVE_GAMMA` and `LIVE_FLOW` of a session's first minutes, by table."""
    provider, lane = SimulatorProvider(density=density), underlying(SYMBOL)
    listed = provider.listing(lane, session_date=DAY).rows
    interest = provider.open_interest(lane, session_date=DAY).rows
    listing = Listing.of([lane], listed, interest, sessions_of={SYMBOL: DAY})
    tape = session_tape(provider, [lane], {SYMBOL: DAY}, quoted=QUOTED)
    engine = Engine(
        listing,
        feed="simulator",
        sequences=Sequences(),
        options=EngineOptions(),
        curve=provider.rate_curve(DAY),
    )
    decoder = PackedDecoder(listing)
    until_us = tape.open_us + minutes * 60_000_000
    made: dict[str, list[pa.Table]] = {LIVE_GAMMA.name: [], LIVE_FLOW.name: []}
    for frames in tape.frames(tape.open_us):
        wanted = [frame for frame in frames if frame.received_us <= until_us]
        engine.apply(decoder.decode([frame for frame in wanted if frame.payload]).events)
        for table, _, rows in engine.take():
            if table.name in made:
                made[table.name].append(rows)
        if len(wanted) < len(frames):
            break
    return {name: pa.concat_tables(parts) for name, parts in made.items()}


def drawn(rows: Mapping[str, pa.Table]) -> bytes:
    """Draw net gamma of both models, cumulative hedging flow, and spot, one below the other."""
    mpl.use("Agg")
    from matplotlib import dates, pyplot as plt

    gamma, flow = rows[LIVE_GAMMA.name], rows[LIVE_FLOW.name]
    figure, axes = plt.subplots(
        3, 1, figsize=(9.0, 6.6), sharex=True, height_ratios=(3, 3, 1.6), layout="constrained"
    )
    naive, ours = (of(gamma, "model", name) for name in ("naive", "session_flow"))
    for part, color, word in (
        (naive, INK, "naive: settled open interest"),
        (ours, CALLS, "session flow: today's trades"),
    ):
        values = floats(part, "net_gamma_exposure_usd_per_pct") / 1e9
        axes[0].plot(times(part), values, color=color, linewidth=1.4, label=word)
    axes[0].set_ylabel("net gamma\n[bn USD per 1 %]")

    at, parts = cumulative(flow)
    total = sum(parts.values())
    for values, color, width, word in (
        (total, INK, 1.8, "all"),
        (sum(v for (right, _), v in parts.items() if right == "call"), CALLS, 1.2, "calls"),
        (sum(v for (right, _), v in parts.items() if right == "put"), PUTS, 1.2, "puts"),
        (sum(v for (_, tenor), v in parts.items() if tenor == "0dte"), TODAY, 1.2, "0DTE"),
    ):
        axes[1].plot(at, np.asarray(values) / 1e9, color=color, linewidth=width, label=word)
    axes[1].set_ylabel("hedging since the open\n[bn USD, > 0 buys]")

    axes[2].plot(times(naive), floats(naive, "spot"), color=INK, linewidth=1.2)
    axes[2].set_ylabel(f"{SYMBOL} spot")
    axes[2].set_xlabel(f"{DAY}, UTC")
    axes[2].xaxis.set_major_formatter(dates.DateFormatter("%H:%M", tz=UTC))
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=9)
    for one in axes[:2]:
        one.axhline(0.0, color=MUTED, linewidth=0.8)
        one.legend(frameon=False, fontsize=9, ncols=4, loc="upper left")
        low, high = one.get_ylim()
        one.set_ylim(low, high + 0.18 * (high - low))
    figure.suptitle("What dealers hold and had to hedge, second by second (simulated SPX)", size=11)
    to = io.BytesIO()
    figure.savefig(to, dpi=100, metadata={"Software": None})
    plt.close(figure)
    return to.getvalue()


def of(rows: pa.Table, column: str, value: str) -> pa.Table:
    """Return the rows of one value."""
    return rows.filter(pc.equal(rows[column], value))


def times(rows: pa.Table) -> list[datetime]:
    """Return instants."""
    found: list[datetime] = rows["event_at"].to_pylist()
    return found


def cumulative(flow: pa.Table) -> tuple[list[datetime], dict[tuple[str, str], Floats]]:
    """Return cumulative hedging flow by right and tenor [USD] at the end of every second."""
    seconds = of(flow, "interval", "second")
    at = np.unique(seconds["event_at"].to_numpy())
    parts: dict[tuple[str, str], Floats] = {}
    for right in ("call", "put"):
        for tenor in ("0dte", "other"):
            mine = of(of(seconds, "right", right), "tenor", tenor)
            sums = np.zeros(at.size)
            place = np.searchsorted(at, mine["event_at"].to_numpy())
            np.add.at(sums, place, floats(mine, "hedge_flow_usd"))
            parts[right, tenor] = np.cumsum(sums)
    return [datetime.fromtimestamp(t.astype("int64") / 1e6, UTC) for t in at], parts


def main() -> None:
    """Write the picture to the path on the command line, or into docs."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_bytes(drawn(rows_of_an_hour()))
    sys.stderr.write(f"{target}\n")


if __name__ == "__main__":
    main()
