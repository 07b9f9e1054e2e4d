"""Metrics, regimes and the index group of the hand-made lake, and their seeded violations.

Belongs here: SPX only. Its late snapshots are a pin, a pin and neutral, the last of them with gamma
turned; metrics in two buckets and all; the group of SPX and SPY, whose total is their sum. Does not
belong here: the chains behind them (`small_lake`).
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from dealer_assets import tables
from dealer_assets_tests.live_rows import row

Row = dict[str, Any]
Rows = dict[str, list[Row]]

LABELS = ("gamma_pin", "gamma_pin", "neutral")
GAMMAS = (0.03, 0.02, -0.01)
SPOTS = (5000.0, 5050.0, 5050.0)


def regime_rows(days: tuple[date, ...], clocks: tuple[time, time], zone: Any) -> Rows:
    """Return the rows of `exposure_metrics`, `dealer_regimes` and `combined_levels`."""
    rows: Rows = {"exposure_metrics": [], "dealer_regimes": [], "combined_levels": []}
    for i, day in enumerate(days):
        for clock in clocks:
            at = datetime.combine(day, clock, tzinfo=zone)
            rows["exposure_metrics"] += [_metrics(at, b, g) for b, g in BUCKETS.items()]
            rows["dealer_regimes"].append(_regime(at, i))
            rows["combined_levels"] += [_level(at, m, g) for m, g in NETS.items()]
    return rows


BUCKETS = {"all": 6e6, "0dte": 4e6, "46+": 2e6}
NETS = {"SPX": 6e6, "SPY": -2e6, "total": 4e6}


def _shared(at: datetime) -> Row:
    return {"at": at, "session_date": at.date(), "model": "naive"}


def _metrics(at: datetime, bucket: str, gamma: float) -> Row:
    return row(
        tables.EXPOSURE_METRICS,
        **_shared(at),
        dte_bucket=bucket,
        spot=5000.0,
        net_gamma_exposure_usd_per_pct=gamma,
        gross_gamma_exposure_usd_per_pct=abs(gamma),
        adv_usd=1e9,
        ngi_over_adv=gamma / 1e9,
        hpp_usd=gamma + 3.0,
        hpp_gamma_usd=gamma,
        hpp_vanna_usd=1.0,
        hpp_charm_usd=2.0,
    )


def _regime(at: datetime, i: int) -> Row:
    return row(
        tables.DEALER_REGIMES,
        **_shared(at),
        spot=SPOTS[i],
        regime=LABELS[i],
        rule=f"{LABELS[i]}: made up",
        margin=0.2 if LABELS[i] != "neutral" else None,
        gamma=GAMMAS[i],
        move_pct=0.0,
    )


def _level(at: datetime, member: str, net: float) -> Row:
    members = ["SPX", "SPY"] if member == "total" else [member]
    return row(
        tables.COMBINED_LEVELS,
        **_shared(at),
        member=member,
        members=members,
        members_missing=["XSP"],
        member_at=at,
        spot=5000.0,
        points_per_unit=1.0,
        net_gamma_exposure_usd_per_pct=net,
        gross_gamma_exposure_usd_per_pct=abs(net),
        flip_pct=-0.01,
        flip_points=4950.0,
    ) | {"underlying": "US_INDEX"}


def violate_regimes(rows: Rows) -> None:
    """Seed one violation per rule of these marts, in late snapshots."""
    rows["exposure_metrics"][3]["hpp_vanna_usd"] = 1e9
    rows["exposure_metrics"][4]["ngi_over_adv"] = None
    rows["dealer_regimes"][1]["margin"] = -0.5
    rows["combined_levels"][3]["age_seconds"] = -1.0


REGIME_RULES = {
    "hedge_pressure_is_the_sum_of_its_parts",
    "metrics_are_scaled_where_volume_is_known",
    "label_has_a_rule_that_holds",
    "combined_members_are_never_later",
}
