"""Every recorded sample through the provider's own parsing code, as plain rows.

Belongs here: how a body reaches the code that parses it: as a dropped file, as an answer to the
question that it answered, as a day's flat file. Does not belong here: what a sample holds
(`test_samples`), the depth of each format (the test of its provider).
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import SecretStr

from dealer_assets.errors import DealerError
from dealer_assets.lake.conformity import conform
from dealer_assets.providers.base import ChainSnapshot, Records
from dealer_assets.providers.deribit.blocks import parse_combos
from dealer_assets.providers.deribit.client import read_reply
from dealer_assets.providers.deribit.families import families_of
from dealer_assets.providers.deribit.instruments import parse_instruments
from dealer_assets.providers.files import read_chain_file
from dealer_assets.providers.flatfiles import datasets
from dealer_assets.providers.flatfiles.sorting import day_to_parquet
from dealer_assets.providers.http import HttpAnswer
from dealer_assets.providers.patience import Patience, raise_for_status
from dealer_assets.providers.polygon.chain import CHAIN_ROW, read_chain
from dealer_assets.providers.polygon.client import said
from dealer_assets.providers.polygon.market import (
    ask_index_value,
    ask_previous_close,
    read_holidays,
    read_status,
)
from dealer_assets.providers.polygon.pages import read_page
from dealer_assets.providers.polygon.provider import PolygonProvider
from dealer_assets.providers.record_files import read_record_file
from dealer_assets.providers.treasury import parse_par_yields
from dealer_assets.underlyings import Underlying, underlying
from dealer_assets_tests.providers.deribit_answers import BTC, Deribit, by_currency, instruments
from dealer_assets_tests.providers.polygon_stub import KEY, asking, page, route, serving

Row = dict[str, Any]
AAPL, SPX = underlying("AAPL"), underlying("SPX")
CONTRACT = "AAPL230616C00150000"
"""An option of the share whose tape the vendor's client mocks hold."""


@dataclass(frozen=True)
class Reading:
    """What became of a sample: rows, and rejected rows and findings by their codes."""

    rows: list[Row]
    rejected: dict[str, int] = field(default_factory=dict)
    findings: frozenset[str] = frozenset()


def _of_records(records: Records) -> Reading:
    for day in pc.unique(records.rows["session_date"]):
        rows = records.rows.filter(pc.equal(records.rows["session_date"], day))
        rows = rows.combine_chunks()
        assert conform(records.table, rows, session_date=day.as_py()).equals(rows)
    reasons = Counter(records.rejected["reason"].to_pylist())
    codes = frozenset(finding.code for finding in records.findings)
    return Reading(records.rows.to_pylist(), dict(reasons), codes)


def _of_chain(chain: ChainSnapshot) -> Reading:
    reasons = Counter(chain.rejected["reason"].to_pylist())
    codes = frozenset(finding.code for finding in chain.findings)
    return Reading(chain.rows.to_pylist(), dict(reasons), codes)


# --- dropped files ----------------------------------------------------------------------------


def chain_file(path: Path) -> Reading:
    (chain,) = read_chain_file(path)
    return _of_chain(chain)


def record_file(path: Path) -> Reading:
    (records,) = read_record_file(path)
    return _of_records(records)


def par_yields(path: Path) -> Reading:
    curves = parse_par_yields(path.read_bytes(), name=path.name)
    return Reading(
        [
            {"date": c.date, "tenors": c.tenor_years.size, "one_month": float(c.par_yield[0])}
            for c in curves
        ]
    )


def flat_file(path: Path) -> Reading:
    """Read a day's file of options; the day is its last instant's."""
    kind = path.name.removeprefix("us_options_opra_").partition("_row")[0]
    dataset = {
        "day_aggs_v1": datasets.OPTION_DAYS,
        "minute_aggs_v1": datasets.OPTION_MINUTES,
        "quotes_v1": datasets.OPTION_QUOTES,
        "trades_v1": datasets.OPTION_TRADES,
    }[kind]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "day.csv.gz", Path(folder) / "day.parquet"
        source.write_bytes(gzip.compress(path.read_bytes()))
        day_to_parquet(source, target, dataset, session_date=date(2026, 5, 22))
        rows = pq.read_table(target).to_pylist()
    reasons = Counter(row["reason"] for row in rows if row["reason"] is not None)
    return Reading([row for row in rows if row["reason"] is None], dict(reasons))


# --- Polygon ----------------------------------------------------------------------------------


def _served(body: bytes, call: Callable[[PolygonProvider], Any], *, now: datetime) -> Any:
    """Let a provider ask for what this body answers; pages that follow are empty."""
    with serving(route({"cursor=": page(), "/": body})) as stub:
        provider = PolygonProvider(
            SecretStr(KEY),
            base_url=stub.url,
            patience=Patience(attempts=1),
            clock=lambda: now,
        )
        try:
            return call(provider)
        finally:
            provider.close()


def _history(
    kind: str, asset: Underlying, day: date, **more: Any
) -> Callable[[Path | bytes], Reading]:
    def read(body: Path | bytes) -> Reading:
        content = body if isinstance(body, bytes) else body.read_bytes()
        later = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=2)

        def ask(provider: PolygonProvider) -> Records:
            return getattr(provider, kind)(asset, session_date=day, **more)

        return _of_records(_served(content, ask, now=later))

    return read


def polygon_chain(path: Path) -> Reading:
    at = datetime(2022, 4, 29, 17, 45, tzinfo=UTC)
    found = read_page(path.read_bytes(), CHAIN_ROW, what="the chain of AAPL")
    raw = read_chain([found], underlying=AAPL, at=at, delay=timedelta(0)).raw
    columns = {name: values.tolist() for name, values in raw.floats.items()}
    rows = pa.table({"symbol": list(raw.symbols), **columns}).to_pylist()
    return Reading(rows, findings=frozenset(code for code, _ in raw.notes))


def polygon_chosen(path: Path) -> Reading:
    chosen = _served(
        path.read_bytes(),
        lambda provider: provider.chosen(["NCLH221014C00005000"]),
        now=datetime(2022, 10, 3, tzinfo=UTC),
    )
    refused = {"not_found": len(chosen.not_found), "not_entitled": len(chosen.not_entitled)}
    return Reading(chosen.rows.to_pylist(), {name: n for name, n in refused.items() if n})


def polygon_index(path: Path) -> Reading:
    rows, refused = [], Counter()
    with asking(route({"/v3/snapshot/indices": path.read_bytes()})) as (client, _):
        for name in ("SPX", "APx", "APy"):
            try:
                rows.append({"ticker": name, "value": ask_index_value(client, name).value})
            except DealerError as error:
                refused[type(error).__name__] += 1
    return Reading(rows, dict(refused))


def polygon_close(body: Path | bytes) -> Reading:
    content = body if isinstance(body, bytes) else body.read_bytes()
    with asking(route({"/v2/aggs/ticker": content})) as (client, _):
        quote = ask_previous_close(client, "AAPL")
    return Reading([{"value": quote.value, "source": quote.source, "at": quote.at}])


def polygon_recorded(path: Path) -> Reading:
    """Read the file of recorded bodies: each to what it was the answer to."""
    bars, open_close, gone, refused, close, contract = json.loads(path.read_text())
    day = date(2026, 8, 28)
    expired = bars["body"]["ticker"].removeprefix("O:")
    read_bars = _history("bars", SPX, day, symbols=[expired], interval="day")
    read_listing = _history("listing", SPX, date(2026, 8, 20))
    readings = [
        read_bars(json.dumps(bars["body"]).encode()),
        polygon_close(page(close["body_results_0"])),
        read_listing(page(contract["body_results_0"])),
    ]
    reasons = Counter()
    for found in (open_close, gone, refused):
        body = json.dumps(found["body"]).encode()
        try:
            if found["status"] != 200:
                raise_for_status(found["status"], vendor="x", asked="x", said=said(body))
            read_bars(body)
        except DealerError as error:
            reasons[type(error).__name__] += 1
    return Reading([row for reading in readings for row in reading.rows], dict(reasons))


# --- Deribit ----------------------------------------------------------------------------------


def _result(path: Path) -> Any:
    return read_reply(HttpAnswer(path.read_bytes(), {}), vendor="Deribit", method=path.stem).result


def deribit_reply(path: Path) -> Reading:
    """Read an answer that no chain and no record is made of."""
    result = _result(path)
    rows = result if isinstance(result, list) else [result]
    return Reading([row if isinstance(row, dict) else {"result": row} for row in rows])


def deribit_combos(path: Path) -> Reading:
    combos = parse_combos(_result(path))
    return Reading([{"combo": name, "legs": legs} for name, legs in combos.items()])


def deribit_instruments(path: Path) -> Reading:
    result = _result(path)
    found = parse_instruments(result if isinstance(result, list) else [result], families_of(BTC)[0])
    columns = zip(found.names, found.states, found.contract_size, found.expires_at, strict=True)
    return Reading(
        [
            {
                "name": str(name),
                "state": str(state),
                "size": float(size),
                "expires_at": ends.item().replace(tzinfo=UTC),
            }
            for name, state, size, ends in columns
        ]
    )


def deribit_trades(path: Path) -> Reading:
    """Read trades, whether of an answer, of a frame, or one by itself."""
    top = json.loads(path.read_text())
    if "params" in top:
        trades = top["params"]["data"]
    else:
        trades = [top["trade"]] if "trade" in top else _result(path)["trades"]
    day = datetime.fromtimestamp(trades[0]["timestamp"] / 1000, UTC)

    def answer(_: str, params: dict[str, str]) -> Row:
        first, last = int(params["start_timestamp"]), int(params["end_timestamp"])
        mine = [t for t in trades if first <= t["timestamp"] <= last]
        return {"trades": mine if params["currency"] == "BTC" else [], "has_more": False}

    deribit = Deribit({"get_last_trades_by_currency_and_time": answer})
    with deribit.provider(day + timedelta(days=3)) as provider:
        return _of_records(provider.trades(BTC, session_date=day.date()))


def deribit_chain(path: Path) -> Reading:
    rows = _result(path)
    made_at = datetime.fromtimestamp(rows[0]["creation_timestamp"] / 1000, UTC)
    index = rows[0]["estimated_delivery_price"]
    deribit = Deribit(
        {
            "get_instruments": instruments(*(row["instrument_name"] for row in rows)),
            "get_book_summary_by_currency": by_currency(BTC=rows),
            "get_index_price": {"index_price": index, "estimated_delivery_price": index},
        }
    )
    with deribit.provider(made_at) as provider:
        return _of_chain(provider.snapshot(BTC, at=made_at))


# --- all --------------------------------------------------------------------------------------

READERS: dict[str, Callable[[Path], Reading]] = {
    **dict.fromkeys(("cboe_csv", "cboe_json", "tardis"), chain_file),
    **dict.fromkeys(("dtcc", "occ", "reference_rates", "tardis_trades"), record_file),
    "par_yields": par_yields,
    "flatfiles": flat_file,
    "polygon_status": lambda path: Reading([asdict(read_status(path.read_bytes()))]),
    "polygon_holidays": lambda path: Reading([asdict(h) for h in read_holidays(path.read_bytes())]),
    "polygon_close": polygon_close,
    "polygon_bars": _history("bars", AAPL, date(2022, 4, 28), symbols=[CONTRACT], interval="day"),
    "polygon_trades": _history("trades", AAPL, date(2022, 4, 28), symbols=[CONTRACT]),
    "polygon_quotes": _history("quotes", AAPL, date(2022, 5, 10), symbols=[CONTRACT]),
    "polygon_listing": _history("listing", AAPL, date(2022, 4, 28)),
    "polygon_chain": polygon_chain,
    "polygon_chosen": polygon_chosen,
    "polygon_index": polygon_index,
    "polygon_recorded": polygon_recorded,
    "deribit_reply": deribit_reply,
    "deribit_combos": deribit_combos,
    "deribit_instruments": deribit_instruments,
    "deribit_trades": deribit_trades,
    "deribit_chain": deribit_chain,
}
"""What parses each format, by the format's name."""


def frames_of(path: Path) -> list[Any]:
    """Return the frames of a recording, of whichever kind: JSON, JSON lines, or stamped lines."""
    if path.suffix == ".json":
        return [json.loads(path.read_text())]
    lines = path.read_text().splitlines()
    if path.suffix == ".txt":
        return [json.loads(line[line.index("{") :]) for line in lines]
    return [json.loads(line) for line in lines]


def kind_of(frame: Any) -> str:
    """Return what a frame is: its channel's kind, its status, its method, or what it answers."""
    frame = frame.get("frame", frame) if isinstance(frame, dict) else frame
    if isinstance(frame, list):
        return str(frame[0]["status"])
    if frame.get("method") == "subscription":
        return str(frame["params"]["channel"]).partition(".")[0]
    return str(frame.get("method") or next((k for k in ("result", "error") if k in frame), "data"))
