"""Requests to the publishers of US interest rates.

Belongs here: paths and queries. Does not belong here: payloads (`treasury`, `nyfed`, `fred`), who
stands in for whom (`rates_live`).

The Treasury is slow, 19 seconds have been seen; FRED may accept a request and never answer, so its
silence is not borne for long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from dealer_assets.domain.rates import RateCurve
from dealer_assets.errors import ProviderError
from dealer_assets.providers.asking import ONE_ATTEMPT, ask, require_address
from dealer_assets.providers.base import Records
from dealer_assets.providers.csv_fields import refuse
from dealer_assets.providers.fred import (
    TENORS,
    parse_curves,
    parse_graph,
    parse_observations,
)
from dealer_assets.providers.http import Http, HttpAnswer
from dealer_assets.providers.nyfed import parse_nyfed
from dealer_assets.providers.patience import Patience
from dealer_assets.providers.record_rows import Source
from dealer_assets.providers.treasury import parse_par_yields

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer")

PROVIDER = "rates"
FIXINGS = {"SOFR": "/api/rates/secured/sofr", "EFFR": "/api/rates/unsecured/effr"}
"""Fixings of the New York Fed and their paths."""

_TREASURY = "/resource-center/data-chart-center/interest-rates"
_CURVE = "daily_treasury_yield_curve"
_GRAPH, _OBSERVATIONS = "/graph/fredgraph.csv", "/fred/series/observations"


@dataclass(frozen=True)
class RateSources:
    """Where rates are asked for.

    Parameters
    ----------
    treasury_url, nyfed_url, fred_url, fred_api_url : str
        Scheme and host of each.
    fred_api_key : SecretStr, optional
        For FRED's API only; it leaves this process on the wire and nowhere else.
    treasury_seconds, nyfed_seconds, fred_seconds : float
        Longest silence of each.
    patience : Patience
        Attempts and pauses with each.
    transport : httpx.BaseTransport, optional
        Replaces the network in tests.

    Raises
    ------
    BadInputError
        When an address has no scheme or host.
    """

    treasury_url: str = "https://home.treasury.gov"
    nyfed_url: str = "https://markets.newyorkfed.org"
    fred_url: str = "https://fred.stlouisfed.org"
    fred_api_url: str = "https://api.stlouisfed.org"
    fred_api_key: SecretStr | None = None
    treasury_seconds: float = 60.0
    nyfed_seconds: float = 20.0
    fred_seconds: float = 10.0
    patience: Patience = field(
        default_factory=lambda: Patience(attempts=2, first_pause_seconds=1.0)
    )
    transport: httpx.BaseTransport | None = None

    def __post_init__(self) -> None:
        """Refuse a wrong address now, not in the first run."""
        require_address("Treasury", self.treasury_url)
        require_address("New York Fed", self.nyfed_url)
        require_address("FRED", self.fred_url)
        require_address("FRED's API", self.fred_api_url)

    def treasury_csv(self, year: int) -> list[RateCurve]:
        """Return a year's curves from the Treasury's CSV; empty before the year's first."""
        name = f"treasury csv {year}"

        def read(answer: HttpAnswer) -> list[RateCurve]:
            header, _, rows = answer.body.partition(b"\n")
            if b"Date" in header and not rows.strip():
                return []
            return parse_par_yields(_whole_lines(answer.body, name), name=name)

        params: dict[str, str | int] = {
            "type": _CURVE,
            "field_tdr_date_value": year,
            "page": "",
            "_format": "csv",
        }
        path = f"{_TREASURY}/daily-treasury-rates.csv/{year}/all"
        return self._ask(self._treasury, path, params, read)

    def treasury_xml(self, year: int) -> list[RateCurve]:
        """Return a year's curves from the Treasury's feed."""
        name = f"treasury xml {year}"
        return self._ask(
            self._treasury,
            f"{_TREASURY}/pages/xml",
            {"data": _CURVE, "field_tdr_date_value": year},
            lambda answer: parse_par_yields(answer.body, name=name),
        )

    def fred_curves(self, first: date, last: date) -> list[RateCurve]:
        """Return curves from FRED's copy of the Treasury's yields, which lacks some tenors."""
        return self._ask(
            self._fred,
            _GRAPH,
            _graph_query(list(TENORS), first, last),
            lambda answer: parse_curves(
                _whole_lines(answer.body, "fred curves"), name="fred curves"
            ),
        )

    def fixings(self, series: str, first: date, last: date) -> Records:
        """Return a fixing of the New York Fed."""
        return self._ask(
            self._nyfed,
            f"{FIXINGS[series]}/search.json",
            {"startDate": first.isoformat(), "endDate": last.isoformat()},
            lambda answer: parse_nyfed(answer.body, _source(f"nyfed {series}", answer)),
        )

    def fred_graph(self, series: Sequence[str], first: date, last: date) -> Records:
        """Return series from FRED's graph, which wants no key and may ignore the range."""
        return self._ask(
            self._fred,
            _GRAPH,
            _graph_query(series, first, last),
            lambda answer: parse_graph(
                _whole_lines(answer.body, "fred graph"), _source("fred graph", answer)
            ),
        )

    def fred_api(self, series: str, first: date, last: date) -> Records:
        """Return a series from FRED's API, as it stands today.

        Raises
        ------
        ProviderError
            When there is no key, and as the others.
        """
        key = self.fred_api_key
        if key is None:
            raise ProviderError(
                "FRED's API wants a key: give one, or ask its graph, which does not"
            )

        def host() -> Http:
            from dealer_assets.providers.keyed_transport import KeyedTransport

            return Http(
                "FRED's API",
                self.fred_api_url,
                secrets=(key,),
                timeout_seconds=self.fred_seconds,
                patience=ONE_ATTEMPT,
                transport=KeyedTransport("api_key", key, self.transport),
            )

        query: dict[str, str | int] = {
            "series_id": series,
            "file_type": "json",
            "observation_start": first.isoformat(),
            "observation_end": last.isoformat(),
        }
        return self._ask(
            host,
            _OBSERVATIONS,
            query,
            lambda answer: parse_observations(
                answer.body, _source(f"fred {series}", answer), series=series
            )[0],
        )

    def _ask(
        self,
        host: Callable[[], Http],
        path: str,
        params: Mapping[str, str | int],
        read: Callable[[HttpAnswer], Answer],
    ) -> Answer:
        with host() as http:
            return ask(http, path, params, read, patience=self.patience)

    def _treasury(self) -> Http:
        return self._host("Treasury", self.treasury_url, self.treasury_seconds)

    def _nyfed(self) -> Http:
        return self._host("New York Fed", self.nyfed_url, self.nyfed_seconds)

    def _fred(self) -> Http:
        return self._host("FRED", self.fred_url, self.fred_seconds)

    def _host(self, vendor: str, url: str, seconds: float) -> Http:
        return Http(
            vendor, url, timeout_seconds=seconds, patience=ONE_ATTEMPT, transport=self.transport
        )


def _graph_query(series: Sequence[str], first: date, last: date) -> dict[str, str | int]:
    return {"id": ",".join(series), "cosd": first.isoformat(), "coed": last.isoformat()}


def _whole_lines(payload: bytes, name: str) -> bytes:
    """Refuse CSV that ends within a line: a number cut off is a number still."""
    if not payload.endswith(b"\n"):
        refuse(name, f"expected whole lines, found the last one cut: {payload[-40:]!r}")
    return payload


def _source(name: str, answer: HttpAnswer) -> Source:
    return Source(PROVIDER, name, sha256(answer.body).hexdigest())
