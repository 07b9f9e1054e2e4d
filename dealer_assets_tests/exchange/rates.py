"""Publishers of interest rates: the Treasury's par curve, the New York Fed's fixings, FRED.

Belongs here: paths, formats and faults. Does not belong here: the numbers (`rates_market`).

FRED's two hosts share this one: ``/graph/`` needs no key, ``/fred/`` wants ``api_key`` in the
query, because FRED knows no other way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from aiohttp import web

from dealer_assets_tests.exchange import rates_market
from dealer_assets_tests.exchange.faults import declare
from dealer_assets_tests.exchange.misbehaviour import answer, declare_bad_answers, due, web_page
from dealer_assets_tests.exchange.rates_market import TENORS, fixings, par_yields, published_days
from dealer_assets_tests.exchange.world import KEY, World

declare_bad_answers(
    "rates", "slow", "silent", "html", "403", "429", "500", "503", "empty", "truncated", "cut"
)
REVISED = declare(
    "rates_revised",
    "NY Fed: the fixing of `date` (the newest) is higher by `by` (0.02) and marked as revised",
)
WITHOUT_RANGE = declare("rates_fred_ignores_range", "FRED: the range asked for is ignored")
BLANKS = declare("rates_fred_blanks", "FRED CSV: missing values are blank instead of '.'")

_TREASURY = "/resource-center/data-chart-center/interest-rates"
_FRED_KEY = re.compile(r"[a-z0-9]{32}")
_FRED_TENORS = {tenor.fred: i for i, tenor in enumerate(TENORS) if tenor.fred}
_FIXINGS = {("secured", "sofr"): "SOFR", ("unsecured", "effr"): "EFFR"}
_OPEN_END = date(9999, 12, 31)
_JSON = "application/json"


def routes(world: World) -> list[web.RouteDef]:
    """Return the paths of all three publishers."""

    def serve(make: Any, content_type: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            problem = _problem(request)
            if problem is not None:
                return problem
            body = partial(make, request, world)
            return await answer(request, world, "rates", body, content_type=content_type)

        return handle

    return [
        web.get(f"{_TREASURY}/daily-treasury-rates.csv/{{year}}/all", serve(_csv, "text/csv")),
        web.get(f"{_TREASURY}/pages/xml", serve(_xml, "application/xml")),
        web.get("/api/rates/{group}/{rate}/last/{count}.json", serve(_nyfed, _JSON)),
        web.get("/api/rates/{group}/{rate}/search.json", serve(_nyfed, _JSON)),
        web.get("/api/rates/all/latest.json", serve(_nyfed_all, _JSON)),
        web.get("/graph/fredgraph.csv", serve(_fred_csv, "text/csv")),
        web.get("/fred/series/observations", serve(_fred_observations, _JSON)),
    ]


def _problem(request: web.Request) -> web.Response | None:
    """What each publisher answers to a request it does not understand."""
    asked = request.match_info
    if "group" in asked:
        known = (asked["group"], asked["rate"]) in _FIXINGS
        if known and _are_dates(request, "startDate", "endDate"):
            return None
        return web.json_response({"error": "Bad Request", "status": 400}, status=400)
    if request.path.startswith(_TREASURY) and not _treasury_year(request).isdigit():
        return web_page(404)
    if request.path.startswith("/graph/"):
        known = all(name in _fred_series() for name in _graph_ids(request))
        return None if known else web_page(404)
    if request.path.startswith("/fred/"):
        return _fred_problem(request)
    return None


def _are_dates(request: web.Request, *names: str) -> bool:
    try:
        for name in names:
            if name in request.query:
                date.fromisoformat(request.query[name])
    except ValueError:
        return False
    return True


def _treasury_days(world: World, year: int) -> list[date]:
    """Published days of a year, newest first."""
    days = published_days("TREASURY", date(year, 1, 1), date(year, 12, 31), now=world.clock.now())
    return days[::-1]


def _treasury_year(request: web.Request) -> str:
    default = request.query.get("field_tdr_date_value", "")
    year: str = request.match_info.get("year", default)
    return year


def _csv(request: web.Request, world: World) -> bytes:
    """A year's par yields, newest first; tenors of a later year have no column."""
    year = int(_treasury_year(request))
    columns = [i for i, tenor in enumerate(TENORS) if tenor.since.year <= year]
    header = ",".join(["Date", *(f'"{TENORS[i].csv}"' for i in columns)])
    days = _treasury_days(world, year)
    lines = [header]
    for day, yields in zip(days, par_yields(world.seed, days), strict=True):
        cells = [f"{yields[i]:.2f}" if TENORS[i].since <= day else "" for i in columns]
        lines.append(",".join([f"{day:%m/%d/%Y}", *cells]))
    return ("\n".join(lines) + "\n").encode()


def _xml(request: web.Request, world: World) -> bytes:
    """The same as an Atom feed, oldest first, as the Treasury sorts it."""
    days = _treasury_days(world, int(_treasury_year(request)))[::-1]
    entries = []
    for number, (day, yields) in enumerate(
        zip(days, par_yields(world.seed, days), strict=True), start=1
    ):
        fields = [f'<d:NEW_DATE m:type="Edm.DateTime">{day}T00:00:00</d:NEW_DATE>']
        for tenor, value in zip(TENORS, yields, strict=True):
            if tenor.since <= day:
                fields.append(f'<d:{tenor.xml} m:type="Edm.Double">{value:.2f}</d:{tenor.xml}>')
        fields.append(
            f'<d:BC_30YEARDISPLAY m:type="Edm.Double">{yields[-1]:.2f}</d:BC_30YEARDISPLAY>'
        )
        properties = "".join(fields)
        entries.append(
            f"<entry><id>{number}</id><title></title><content type='application/xml'>"
            f"<m:properties>{properties}</m:properties></content></entry>"
        )
    services = "http://schemas.microsoft.com/ado/2007/08/dataservices"
    head = (
        '<?xml version="1.0" encoding="utf-8" standalone="yes" ?>\n'
        f'<feed xmlns:d="{services}" xmlns:m="{services}/metadata" '
        'xmlns="http://www.w3.org/2005/Atom">'
        '<title type="text">DailyTreasuryYieldCurveRateData</title>'
    )
    return (head + "\n".join(entries) + "</feed>\n").encode()


def _nyfed(request: web.Request, world: World) -> bytes:
    """Fixings of one rate, newest first."""
    name = _FIXINGS[request.match_info["group"], request.match_info["rate"]]
    now, asked = world.clock.now(), request.query
    if "count" in request.match_info:
        count = int(request.match_info["count"])
        days = published_days(name, now.date() - timedelta(days=2 * count + 15), _OPEN_END, now=now)
        days = days[-count:] if count else []
    else:
        first = date.fromisoformat(asked.get("startDate", rates_market.FIRST.isoformat()))
        last = date.fromisoformat(asked.get("endDate", now.date().isoformat()))
        days = published_days(name, first, last, now=now)
    rows = _fixing_rows(world, name, days[::-1])
    return json.dumps({"refRates": _revised(request, world, rows)}).encode()


def _nyfed_all(request: web.Request, world: World) -> bytes:
    """The newest of each rate; averages have other fields than fixings."""
    now = world.clock.now()
    rows: list[dict[str, Any]] = []
    for name in ("SOFR", "EFFR"):
        days = published_days(name, now.date() - timedelta(days=15), _OPEN_END, now=now)
        rows += _fixing_rows(world, name, days[-1:])
    average = rows[0]["percentRate"]
    rows.insert(
        1,
        {
            "effectiveDate": now.date().isoformat(),
            "type": "SOFRAI",
            "average30day": average,
            "average90day": average,
            "average180day": average,
            "index": 1.25,
            "revisionIndicator": "",
        },
    )
    return json.dumps({"refRates": rows}).encode()


def _fixing_rows(world: World, name: str, days: Sequence[date]) -> list[dict[str, Any]]:
    rows = []
    for day, value in zip(days, fixings(world.seed, name, days).tolist(), strict=True):
        row: dict[str, Any] = {"effectiveDate": day.isoformat(), "type": name, "percentRate": value}
        for share, away in ((1, -0.04), (25, -0.01), (75, 0.03), (99, 0.08)):
            row[f"percentPercentile{share}"] = round(value + away, 2)
        row["volumeInBillions"] = (2_400 if name == "SOFR" else 100) + day.toordinal() % 50
        if name == "EFFR":
            low = float(np.floor(value * 4.0) / 4.0)
            row |= {"targetRateFrom": low, "targetRateTo": low + 0.25}
        rows.append(row | {"revisionIndicator": ""})
    return rows


def _revised(
    request: web.Request, world: World, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    options = due(request, world, REVISED)
    if options is None or not rows:
        return rows
    day = options.get("date", rows[0]["effectiveDate"])
    for row in rows:
        if row["effectiveDate"] == day:
            row["percentRate"] = round(row["percentRate"] + float(options.get("by", 0.02)), 2)
            row["revisionIndicator"] = "[r]"
    return rows


def _fred_series() -> tuple[str, ...]:
    return (*_FRED_TENORS, "SOFR", "EFFR")


def _graph_ids(request: web.Request) -> list[str]:
    return request.query.get("id", "").upper().split(",")


def _fred_values(world: World, name: str, first: date, last: date) -> dict[date, float | None]:
    """Values of the weekdays of a range up to the newest published; None where there is none."""
    now = world.clock.now()
    days = published_days(name, first, last, now=now)
    if not days:
        return {}
    if name in _FRED_TENORS:
        values = par_yields(world.seed, days)[:, _FRED_TENORS[name]]
    else:
        values = fixings(world.seed, name, days)
    known = dict(zip(days, values.tolist(), strict=True))
    start = max(first, rates_market.FIRST)
    span = (start + timedelta(days=i) for i in range((days[-1] - start).days + 1))
    return {day: known.get(day) for day in span if day.weekday() < 5}


def _range(request: web.Request, world: World, start: str, end: str) -> tuple[date, date]:
    first, last = request.query.get(start), request.query.get(end)
    if due(request, world, WITHOUT_RANGE) is not None:
        first = last = None
    return (
        date.fromisoformat(first) if first else rates_market.FIRST,
        date.fromisoformat(last) if last else _OPEN_END,
    )


def _fred_csv(request: web.Request, world: World) -> bytes:
    names = _graph_ids(request)
    first, last = _range(request, world, "cosd", "coed")
    columns = [_fred_values(world, name, first, last) for name in names]
    missing = "." if due(request, world, BLANKS) is None else ""
    lines = [",".join(["observation_date", *names])]
    for day in sorted({day for column in columns for day in column}):
        values = [column.get(day) for column in columns]
        lines.append(",".join([f"{day}", *(missing if v is None else f"{v:.2f}" for v in values)]))
    return ("\n".join(lines) + "\n").encode()


def _fred_problem(request: web.Request) -> web.Response | None:
    key, name = request.query.get("api_key", ""), request.query.get("series_id", "")
    problem = ""
    if not key:
        problem = "Bad Request.  Variable api_key is not set."
    elif key != KEY and not _FRED_KEY.fullmatch(key):
        problem = "Bad Request.  api_key is not a 32 character alpha-numeric lower-case string."
    elif name.upper() not in _fred_series():
        problem = "Bad Request.  The series does not exist."
    elif not _are_dates(request, "observation_start", "observation_end"):
        problem = "Bad Request.  Dates are written YYYY-MM-DD."
    elif request.query.get("file_type") != "json":
        problem = "Bad Request.  The test exchange answers file_type=json only."
    if not problem:
        return None
    return web.json_response({"error_code": 400, "error_message": problem}, status=400)


def _fred_observations(request: web.Request, world: World) -> bytes:
    first, last = _range(request, world, "observation_start", "observation_end")
    name = request.query["series_id"].upper()
    values = list(_fred_values(world, name, first, last).items())
    if request.query.get("sort_order") == "desc":
        values.reverse()
    values = values[: int(request.query.get("limit", 100_000))]
    today = _date_of(world.clock.now())
    rows = [
        {
            "realtime_start": today,
            "realtime_end": today,
            "date": day.isoformat(),
            "value": "." if value is None else f"{value:.2f}",
        }
        for day, value in values
    ]
    top = {"realtime_start": today, "realtime_end": today, "units": "lin", "count": len(rows)}
    return json.dumps(top | {"observations": rows}).encode()


def _date_of(instant: datetime) -> str:
    return instant.date().isoformat()
