"""Levels in words and JSON: one vocabulary for the command line, the asset pages and the docs.

Belongs here: naming and formatting of results. Does not belong here: computing them.
The JSON of `dealer levels` is a public contract: `docs/levels_json.md`, kept by a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from dealer_assets.domain.columns import of_word
from dealer_assets.domain.conventions import SUMMARY


def usd(value: float | None) -> str:
    """Format dollars for people: ``+1.23 bn``, ``-45.6 m``; ``n/a`` for None."""
    if value is None:
        return "n/a"
    for unit, word in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:+,.2f} {word}"
    return f"{value:+,.2f}"


def price(value: float | None) -> str:
    """Format a price level for people; ``n/a`` for None."""
    return "n/a" if value is None else f"{value:,.2f}"


def span(lo: float | None, hi: float | None) -> str:
    """Format an interval of price levels for people; ``n/a`` when there is none."""
    return "n/a" if lo is None or hi is None else f"{lo:,.2f} to {hi:,.2f}"


def levels_document(
    row: Mapping[str, Any], *, rejected: Mapping[str, int], expiries: list[str]
) -> dict[str, Any]:
    """Lay one row of `tables.EXPOSURE_LEVELS` out as the public JSON document.

    Parameters
    ----------
    row : mapping
        The row, as `pyarrow.Table.to_pylist` gives it.
    rejected : mapping of str to int
        Contracts that are not in the sums, by reason.
    expiries : list of str
        Live expiry dates in the sums, ISO, ascending.

    Returns
    -------
    dict
        JSON-ready; keys and their meaning are in `docs/levels_json.md`.
    """
    sums = (
        "net_gamma_exposure_usd_per_pct",
        "call_gamma_exposure_usd_per_pct",
        "put_gamma_exposure_usd_per_pct",
        "gross_gamma_exposure_usd_per_pct",
        "net_delta_exposure_usd",
        "net_vanna_exposure_usd_per_vol_pt",
        "net_charm_exposure_usd_per_day",
        "net_volga_exposure_usd_per_vol_pt2",
    )
    intervals = (
        "net_gamma_sd_usd_per_pct",
        "net_delta_lo_usd",
        "net_delta_hi_usd",
        "net_vanna_lo_usd_per_vol_pt",
        "net_vanna_hi_usd_per_vol_pt",
        "net_charm_lo_usd_per_day",
        "net_charm_hi_usd_per_day",
        "net_volga_lo_usd_per_vol_pt2",
        "net_volga_hi_usd_per_vol_pt2",
    )
    return {
        "underlying": row["underlying"],
        "session_date": row["session_date"].isoformat(),
        "as_of": row["event_at"].isoformat(),
        "known_at": row["known_at"].isoformat(),
        "spot": row["spot"],
        "spot_source": row["spot_source"],
        "contracts": row["contracts"],
        "contracts_used": row["contracts_used"],
        "rejected": dict(sorted(rejected.items())),
        **{name: row[name] for name in sums},
        "positions": {
            "unpositioned_oi_share": row["unpositioned_oi_share"],
            **{name: row[name] for name in intervals},
        },
        "flip": {
            "price": row["flip_price"],
            "status": row["flip_status"],
            "pct": row["flip_pct"],
            "all": row["flip_prices"],
            "slopes": row["flip_slopes"],
        },
        "band": {
            "flip_lo": row["flip_lo"],
            "flip_median": row["flip_median"],
            "flip_hi": row["flip_hi"],
            "flip_pct": row["flip_band_pct"],
            "convention_lo": row["flip_convention_lo"],
            "convention_hi": row["flip_convention_hi"],
            "oi_age_lo": row["flip_oi_age_lo"],
            "oi_age_hi": row["flip_oi_age_hi"],
            "sticky_moneyness": row["flip_sticky_moneyness"],
            "sticky_moneyness_lo": row["flip_sticky_moneyness_lo"],
            "sticky_moneyness_hi": row["flip_sticky_moneyness_hi"],
            "net_gamma_lo_usd_per_pct": row["net_gamma_lo_usd_per_pct"],
            "net_gamma_hi_usd_per_pct": row["net_gamma_hi_usd_per_pct"],
            "call_wall_stability": row["call_wall_stability"],
            "put_wall_stability": row["put_wall_stability"],
            "forwards_settled_share": row["forwards_settled_share"],
            "vols_settled_share": row["vols_settled_share"],
            "resamples": row["band_resamples"],
        },
        "expected_move": {
            "straddle_usd": row["expected_move_straddle_usd"],
            "vol_365_usd": row["expected_move_vol_365_usd"],
            "vol_252_usd": row["expected_move_vol_252_usd"],
        },
        "walls": {
            "call": row["call_wall"],
            "put": row["put_wall"],
            "call_side": row["call_side_wall"],
            "put_side": row["put_side_wall"],
            "absolute_gamma": row["absolute_gamma_strike"],
            "max_pain": row["max_pain"],
        },
        "zero_dte_share": row["zero_dte_share"],
        "expiries": expiries,
        "quality": {
            "is_publishable": row["is_publishable"],
            "reasons": row["quality_reasons"],
            "is_partial": row["is_partial"],
            "two_sided_share": row["two_sided_share"],
            "determined_oi_share": row["determined_oi_share"],
        },
        "model": row["model"],
        "conventions": SUMMARY,
    }


def level_metadata(levels: pa.Table, *, headline: str) -> dict[str, Any]:
    """Say the headline model's numbers of the newest snapshot on an asset's page."""
    own = of_word(levels, "model", headline)
    if own.num_rows == 0:
        return {"levels": f"none by {headline}: no live contract, or the model tells nothing here"}
    row = own.to_pylist()[0]
    return {
        "spot": row["spot"],
        "net_gamma_usd_per_pct": row["net_gamma_exposure_usd_per_pct"],
        "net_gamma": f"{usd(row['net_gamma_exposure_usd_per_pct'])} USD per 1 %",
        "flip": price(row["flip_price"]),
        "flip_status": row["flip_status"],
        "flip_band": span(row["flip_lo"], row["flip_hi"]),
        "flip_over_conventions": span(row["flip_convention_lo"], row["flip_convention_hi"]),
        "flip_sticky_moneyness": price(row["flip_sticky_moneyness"]),
        "expected_move_1d": price(row["expected_move_straddle_usd"]),
        "call_wall": price(row["call_wall"]),
        "put_wall": price(row["put_wall"]),
        "max_pain": price(row["max_pain"]),
        "contracts_used": row["contracts_used"],
        "is_publishable": row["is_publishable"],
        "quality_reasons": ", ".join(row["quality_reasons"]) or "none",
    }


def models_metadata(
    models: Sequence[str], *, headline: str, missing: Mapping[str, str]
) -> dict[str, str]:
    """Say on an asset's page whose positions its rows are, and why a model has none."""
    told = [model for model in models if model not in missing]
    return {
        "model": headline,
        "models": ", ".join(told) or "none",
        "models_left_out": "; ".join(f"{m}: {why}" for m, why in missing.items()) or "none",
    }


def usd_span(lo: float | None, hi: float | None) -> str:
    """Format an interval of dollars for people; ``n/a`` when there is none."""
    return "n/a" if lo is None or hi is None else f"{usd(lo)} to {usd(hi)}"


def models_markdown(levels: pa.Table) -> str:
    """Lay the models of the newest snapshot side by side, as a Markdown table."""
    if levels.num_rows == 0:
        return "no levels"
    heads = (
        "model",
        "net gamma, USD per 1 %",
        "5 to 95 %",
        "flip",
        "call wall",
        "put wall",
        "OI without position",
    )
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in levels.to_pylist():
        cells = (
            row["model"],
            usd(row["net_gamma_exposure_usd_per_pct"]),
            usd_span(row["net_gamma_lo_usd_per_pct"], row["net_gamma_hi_usd_per_pct"]),
            f"{price(row['flip_price'])} ({row['flip_status']})",
            price(row["call_wall"]),
            price(row["put_wall"]),
            share(row["unpositioned_oi_share"]),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def share(value: float | None) -> str:
    """Format a share for people; ``n/a`` for None."""
    return "n/a" if value is None else f"{value:.1%}"


def surface_metadata(quality: pa.Table) -> dict[str, Any]:
    """Say how good the newest surface is on an asset's page."""
    if quality.num_rows == 0:
        return {"surface": "none: nothing is priced"}
    row = quality.to_pylist()[0]
    named = ("fitted", "aged", "interpolated", "ruled")
    return {
        "slices": ", ".join(f"{row[name]} {name}" for name in named if row[name]) or "none",
        "in_spread": "n/a" if row["in_spread_share"] is None else f"{row['in_spread_share']:.1%}",
        "atm_error_bp": "n/a" if row["atm_error_bp"] is None else f"{row['atm_error_bp']:.2f}",
        "butterfly_violations": row["butterfly_violations"],
        "calendar_violations": row["calendar_violations"],
        "is_sound": row["is_sound"],
        "reasons": ", ".join(row["reasons"]) or "none",
    }
