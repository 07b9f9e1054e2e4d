"""The kinds of work, in the page's order."""

from collections.abc import Callable

from dealer_assets_tests.bench.report import Section
from dealer_assets_tests.bench.works import (
    american,
    anomalies,
    greeks,
    implied_vol,
    profile,
    sides,
    startup,
    streaming,
    surface,
    whole_chain,
)
from dealer_assets_tests.bench.works.field import Size

Work = Callable[[Size], tuple[Section, list[tuple[str, str]]]]

WORKS: dict[str, Work] = {
    "iv": implied_vol.run,
    "greeks": greeks.run,
    "profile": profile.run,
    "surface": surface.run,
    "american": american.run,
    "sides": sides.run,
    "chain": whole_chain.run,
    "anomalies": anomalies.run,
    "startup": startup.run,
    "streaming": streaming.run,
}

__all__ = ["WORKS", "Size", "Work"]
