"""Tables and lines for the terminal.

Belongs here: rich renderables of results. Does not belong here: commands, or computing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dealer_assets.intake.outcome import Outcome
from dealer_assets.reports.wording import price, share, span, usd, usd_span

_STATUS_STYLE = {
    "stored": "green",
    "merged": "green",
    "held": "dim",
    "superseded": "yellow",
    "refused": "red",
}


def levels_view(document: Mapping[str, Any]) -> RenderableType:
    """Show one levels document, the way a trader reads it."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for label, value in _level_lines(document):
        table.add_row(label, value)
    title = Text.assemble(
        (document["underlying"], "bold"),
        f"  {document['as_of'][:16].replace('T', ' ')} UTC  model {document['model']}",
    )
    return Group(title, table)


def _level_lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    flip, walls, quality = document["flip"], document["walls"], document["quality"]
    band, move = document["band"], document["expected_move"]
    crossings = ", ".join(price(crossing) for crossing in flip["all"]) or "none within 15 % of spot"
    used = f"{document['contracts_used']:,} of {document['contracts']:,} contracts"
    rejected = ", ".join(f"{reason} {n:,}" for reason, n in document["rejected"].items())
    share = document["zero_dte_share"]
    verdict = "publishable" if quality["is_publishable"] else "NOT publishable: "
    return [
        ("spot", f"{price(document['spot'])}  ({document['spot_source']})"),
        ("net gamma", f"{usd(document['net_gamma_exposure_usd_per_pct'])} USD per 1 %"),
        ("  calls", usd(document["call_gamma_exposure_usd_per_pct"])),
        ("  puts", usd(document["put_gamma_exposure_usd_per_pct"])),
        ("zero gamma (flip)", f"{price(flip['price'])}  ({flip['status']})"),
        ("  band", f"{span(band['flip_lo'], band['flip_hi'])}  (5-95 %, what quotes leave open)"),
        ("  conventions", span(band["convention_lo"], band["convention_hi"])),
        ("  OI a day old", span(band["oi_age_lo"], band["oi_age_hi"])),
        ("  sticky moneyness", _moving_flip(band)),
        ("  all crossings", crossings),
        ("call wall, put wall", f"{price(walls['call'])}, {price(walls['put'])}  (net by strike)"),
        ("  by side", f"{price(walls['call_side'])}, {price(walls['put_side'])}"),
        ("absolute gamma", price(walls["absolute_gamma"])),
        ("max pain", f"{price(walls['max_pain'])}  (nearest expiry)"),
        ("expected move, 1 day", f"{price(move['straddle_usd'])}  (by the straddle)"),
        ("net delta", f"{usd(document['net_delta_exposure_usd'])} USD"),
        ("net vanna", f"{usd(document['net_vanna_exposure_usd_per_vol_pt'])} USD per vol point"),
        ("net charm", f"{usd(document['net_charm_exposure_usd_per_day'])} USD per day"),
        ("net volga", f"{usd(document['net_volga_exposure_usd_per_vol_pt2'])} USD per vol point²"),
        ("0DTE share", "n/a" if share is None else f"{share:.1%} of gross gamma"),
        ("in the sums", f"{used}, {len(document['expiries'])} expiries"),
        ("left out", rejected or "nothing"),
        (
            "quality",
            f"{verdict}{', '.join(quality['reasons'])}"
            f" (two-sided {quality['two_sided_share']:.1%}, "
            f"determined OI {quality['determined_oi_share']:.1%})",
        ),
    ]


_OWN_LINES: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("net gamma", lambda d: usd(d["net_gamma_exposure_usd_per_pct"])),
    (
        "  5 to 95 %",
        lambda d: usd_span(
            d["band"]["net_gamma_lo_usd_per_pct"], d["band"]["net_gamma_hi_usd_per_pct"]
        ),
    ),
    ("  calls", lambda d: usd(d["call_gamma_exposure_usd_per_pct"])),
    ("  puts", lambda d: usd(d["put_gamma_exposure_usd_per_pct"])),
    ("flip", lambda d: price(d["flip"]["price"])),
    ("  status", lambda d: str(d["flip"]["status"])),
    ("  5 to 95 %", lambda d: span(d["band"]["flip_lo"], d["band"]["flip_hi"])),
    ("call wall", lambda d: price(d["walls"]["call"])),
    ("put wall", lambda d: price(d["walls"]["put"])),
    ("absolute gamma", lambda d: price(d["walls"]["absolute_gamma"])),
    ("net delta", lambda d: usd(d["net_delta_exposure_usd"])),
    ("net vanna", lambda d: usd(d["net_vanna_exposure_usd_per_vol_pt"])),
    ("net charm", lambda d: usd(d["net_charm_exposure_usd_per_day"])),
    ("net volga", lambda d: usd(d["net_volga_exposure_usd_per_vol_pt2"])),
    ("contracts", lambda d: f"{d['contracts_used']:,}"),
    ("OI without", lambda d: share(d["positions"]["unpositioned_oi_share"])),
)
"""What differs from model to model, in the units of `levels_view`."""


def models_view(documents: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show several models' levels of one snapshot side by side."""
    first = documents[0]
    models = [document["model"] for document in documents]
    table = plain_table("", "", right=models)
    for label, told in _OWN_LINES:
        table.add_row(Text(label, style="dim"), *(told(document) for document in documents))
    quality = first["quality"]
    verdict = "publishable" if quality["is_publishable"] else "NOT publishable"
    title = Text.assemble(
        (first["underlying"], "bold"),
        f"  {first['as_of'][:16].replace('T', ' ')} UTC  spot {price(first['spot'])}"
        f"  max pain {price(first['walls']['max_pain'])}  {verdict}",
    )
    under = (
        "gamma in USD per 1 %, vanna per vol point, charm per day, volga per vol point²; "
        f"only {models[0]} is varied over conventions"
    )
    return Group(title, table, Text(under, style="dim"))


def _moving_flip(band: Mapping[str, Any]) -> str:
    if band["sticky_moneyness"] is None:
        return "n/a"
    bounds = span(band["sticky_moneyness_lo"], band["sticky_moneyness_hi"])
    return f"{price(band['sticky_moneyness'])}  ({bounds})"


def outcomes_view(outcomes: Sequence[Outcome]) -> RenderableType:
    """Show what became of imported files: a line per chain, its findings below it."""
    lines = Table.grid(padding=(0, 1))
    for _ in range(3):
        lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for o in outcomes:
        lines.add_row(Text(o.status, style=_STATUS_STYLE[o.status]), *_where(o), _oddities(o))
    counts: Counter[str] = Counter(o.status for o in outcomes)
    total = ", ".join(f"{counts[status]} {status}" for status in _STATUS_STYLE if counts[status])
    return Group(lines, f"{len(outcomes)} read: {total}")


def _where(outcome: Outcome) -> tuple[str, str]:
    if outcome.event_at is None:
        return "", ""
    rejected = f" ({outcome.rejected:,} rejected)" if outcome.rejected else ""
    return (
        f"{outcome.underlying} {outcome.event_at:%Y-%m-%d %H:%M}Z",
        f"{outcome.contracts:,}{rejected}",
    )


def _oddities(outcome: Outcome) -> str:
    findings = ", ".join(finding.code for finding in outcome.findings)
    return " ".join(part for part in (outcome.source, findings, outcome.reason) if part)


_STATUS_SHORT = {"ok": "", "far": "far", "none_in_range": "none", "ill_conditioned": "ill-cond."}


def levels_table(rows: Sequence[Mapping[str, Any]], *, model: str) -> Table:
    """Show one line of levels per underlying and session, all of one model."""
    numbers = ("spot", "net gamma", "flip", "call wall", "put wall")
    table = plain_table(
        f"levels at each session's last snapshot, model {model} (gamma in USD per 1 %)",
        "",
        "session",
        right=numbers,
    )
    table.add_column("", no_wrap=True)
    for row in rows:
        gamma = row["net_gamma_exposure_usd_per_pct"]
        table.add_row(
            row["underlying"],
            f"{row['session_date']:%m-%d}",
            price(row["spot"]),
            Text(usd(gamma), style="green" if gamma > 0 else "red"),
            price(row["flip_price"]),
            _strike(row["call_wall"]),
            _strike(row["put_wall"]),
            _STATUS_SHORT[row["flip_status"]],
        )
    return table


def models_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Show the models of one snapshot per underlying side by side, one line each."""
    table = plain_table(
        "the last session's models side by side (net gamma in USD per 1 %)",
        "",
        "model",
        right=("net gamma", "5 to 95 %", "flip", "5 to 95 %"),
    )
    for row in rows:
        gamma = row["net_gamma_exposure_usd_per_pct"]
        table.add_row(
            row["underlying"],
            row["model"],
            Text(usd(gamma), style="green" if gamma > 0 else "red"),
            _short_span(row["net_gamma_lo_usd_per_pct"], row["net_gamma_hi_usd_per_pct"]),
            _level(row["flip_price"]),
            f"{_level(row['flip_lo'])} to {_level(row['flip_hi'])}" if row["flip_lo"] else "n/a",
        )
    return table


def counts_table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[int]]) -> Table:
    """Show integer counts, one line per name."""
    table = plain_table(title, "", right=columns)
    for name, counts in rows.items():
        table.add_row(name, *(f"{count:,}" for count in counts))
    return table


def _short_span(lo: float | None, hi: float | None) -> str:
    """Format an interval of dollars in one unit, as two models' beside each other are read."""
    if lo is None or hi is None:
        return "n/a"
    unit, word = (1e9, "bn") if max(abs(lo), abs(hi)) >= 1e9 else (1e6, "m")
    return f"{lo / unit:+,.1f} to {hi / unit:+,.1f} {word}"


def _level(value: float | None) -> str:
    """Format a level without more digits than its band leaves it."""
    return "n/a" if value is None else f"{value:,.0f}" if value >= 1000.0 else f"{value:,.2f}"


def _strike(value: float | None) -> str:
    return "n/a" if value is None else f"{value:,.6g}"


def plain_table(title: str, *left: str, right: Sequence[str] = ()) -> Table:
    """Return a table without rules that fits 80 columns."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table
