"""What is drawn of the tape is what was traded."""

from __future__ import annotations

from datetime import date

from dealer_assets import tables
from dealer_assets.providers.simulator.provider import SimulatorProvider
from dealer_assets.reports.tape_pictures import volume_picture
from dealer_assets.underlyings import underlying

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_session_draws_the_same_bytes_each_time() -> None:
    simulator = SimulatorProvider(density=0.05)
    trades = simulator.trades(underlying("XSP"), session_date=date(2026, 11, 18)).rows
    picture = volume_picture(trades)
    assert picture.startswith(PNG)
    assert picture == volume_picture(trades)
    assert picture != volume_picture(trades.slice(0, trades.num_rows // 2))


def test_a_session_without_a_trade_says_so() -> None:
    assert volume_picture(tables.OPTION_TRADES.schema.empty_table()).startswith(PNG)
