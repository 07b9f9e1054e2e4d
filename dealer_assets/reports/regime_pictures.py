"""Pictures of metrics, regimes and combined index exposure as PNG bytes.

Belongs here: drawing them. Does not belong here: computing what is drawn.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import floats
from dealer_assets.reports.palette import AMBER, BLUE, GREY, INK, PLUM, RUST, TEAL, VIOLET
from dealer_assets.reports.pictures import drawing, png_bytes, sentence, unit_of
from dealer_assets.tables.regimes import DTE_BUCKETS, REGIMES

_INK, _MUTED, _LONG, _SHORT, _TOTAL = INK, GREY, TEAL, RUST, VIOLET
_COLOURS = dict(
    zip(
        REGIMES,
        (RUST, AMBER, BLUE, PLUM, "#9a9a3c", TEAL, "#c3c9d1"),
        strict=True,
    )
)
_UNDETERMINED = "undetermined"
_MEMBERS = {"SPX": TEAL, "SPY": BLUE, "XSP": AMBER, "ES": PLUM}
_STRIKES_SHOWN = 0.06


def metrics_picture(metrics: pa.Table, *, headline: str, dpi: int = 80) -> bytes:
    """Draw the parts of hedge pressure and the gamma by expiry bucket, side by side as bars.

    Parameters
    ----------
    metrics : pyarrow.Table
        One snapshot, `tables.EXPOSURE_METRICS` schema.
    headline : str
        The model to show.
    dpi : int
        Dots per inch.
    """
    rows = metrics.filter(pc.equal(metrics["model"], headline)).to_pylist()
    if not rows:
        return sentence(f"no metrics of model {headline}", dpi=dpi)
    by_bucket = {row["dte_bucket"]: row for row in rows}
    figure, axes = drawing(7.5, 3.2, left=0.95)
    names = ["NGI", "VSS", "CHL_24h", "HPP gamma", "HPP vanna", "HPP charm"]
    columns = (
        "net_gamma_exposure_usd_per_pct",
        "net_vanna_exposure_usd_per_vol_pt",
        "net_charm_exposure_usd_per_day",
        "hpp_gamma_usd",
        "hpp_vanna_usd",
        "hpp_charm_usd",
    )
    values = np.array(
        [[by_bucket[b][c] or 0.0 for c in columns] for b in DTE_BUCKETS[1:]], np.float64
    )
    unit, word = unit_of(values)
    place = np.arange(len(names))
    for i, bucket in enumerate(DTE_BUCKETS[1:]):
        shade = ("#12403d", TEAL, "#6fb5af", "#c4dfdc")[i]
        axes.bar(place + 0.2 * (i - 1.5), values[i] / unit, 0.2, color=shade, label=bucket)
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)
    axes.set_xticks(place, names, fontsize=8)
    axes.set_ylabel(f"{word} USD, by expiry")
    axes.legend(frameon=False, fontsize=7, ncols=4)
    row = by_bucket["all"]
    pressure = "not told" if row["hpp_usd"] is None else f"{row['hpp_usd'] / unit:+,.2f} {word}"
    axes.set_title(
        f"{row['underlying']} {row['event_at']:%Y-%m-%d %H:%M} UTC, model {headline}: "
        f"HPP {pressure} USD in {row['horizon_hours']:g} h; drift {row['drift_status']}",
        fontsize=9,
        loc="left",
    )
    return png_bytes(figure, dpi=dpi)


def regime_picture(closings: pa.Table, *, headline: str, dpi: int = 80) -> bytes:
    """Draw net gamma session by session, coloured by its label, with the thresholds of each day.

    Parameters
    ----------
    closings : pyarrow.Table
        `tables.DEALER_REGIMES`, one snapshot a session.
    headline : str
        The model to show.
    dpi : int
        Dots per inch.
    """
    rows = closings.filter(pc.equal(closings["model"], headline)).sort_by("event_at")
    if not rows.num_rows:
        return sentence(f"no regime of model {headline}", dpi=dpi)
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    last = rows.slice(rows.num_rows - 1).to_pylist()[0]
    rows = rows.filter(pc.equal(rows["scale"], last["scale"]))
    figure, axes = drawing(7.5, 3.4, left=0.95)
    at = np.array(rows["session_date"].to_pylist(), "datetime64[D]")
    labels = np.array([label or _UNDETERMINED for label in rows["regime"].to_pylist()])
    gamma = floats(rows, "gamma")
    unit, word = (0.01, "% of ADV") if last["scale"] == "adv" else unit_of(gamma)
    for label, colour in (*_COLOURS.items(), (_UNDETERMINED, "#eceff2")):
        chosen = labels == label
        if chosen.any():
            text = f"{label.replace('_', ' ')} {chosen.sum()}"
            axes.bar(at[chosen], gamma[chosen] / unit, 0.9, color=colour, label=text)
    for name, colour in (("gamma_high", _LONG), ("gamma_low", _SHORT)):
        level = floats(rows, f"threshold_{name}") / unit
        axes.step(at, level, where="mid", color=colour, linewidth=0.9, linestyle="--")
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_ylabel(f"NGI [{word}], closings")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
    axes.legend(frameon=False, fontsize=7, ncols=4, loc="upper left")
    axes.set_title(
        f"{last['underlying']} {last['event_at']:%Y-%m-%d %H:%M} UTC, model {headline}: "
        f"{last['regime'] or 'undetermined'} (thresholds: {last['thresholds_from']})",
        fontsize=9,
        loc="left",
    )
    return png_bytes(figure, dpi=dpi)


def combined_picture(profile: pa.Table, levels: pa.Table, *, headline: str, dpi: int = 80) -> bytes:
    """Draw each member's gamma and the total over moves of spot, with the flip of the total.

    Parameters
    ----------
    profile : pyarrow.Table
        One snapshot, `tables.COMBINED_PROFILE` schema.
    levels : pyarrow.Table
        Its `tables.COMBINED_LEVELS` rows.
    headline : str
        The model to show.
    dpi : int
        Dots per inch.
    """
    profile = profile.filter(pc.equal(profile["model"], headline))
    rows = levels.filter(pc.equal(levels["model"], headline)).to_pylist()
    if not profile.num_rows or not rows:
        return sentence(f"no combined exposure of model {headline}", dpi=dpi)
    total = next(row for row in rows if row["member"] == "total")
    unit, word = unit_of(floats(profile, "gamma_exposure_usd_per_pct"))
    figure, axes = drawing(7.5, 3.4, left=0.95)
    for member in [row["member"] for row in rows]:
        of_member = profile.filter(pc.equal(profile["member"], member)).sort_by("spot_move_pct")
        axes.plot(
            floats(of_member, "spot_move_pct"),
            floats(of_member, "gamma_exposure_usd_per_pct") / unit,
            color=_MEMBERS.get(member, _TOTAL),
            linewidth=2.2 if member == "total" else 1.1,
            label=member,
        )
    axes.axhline(0.0, color=_MUTED, linewidth=0.8)
    axes.axvline(0.0, color=_INK, linewidth=0.8)
    if total["flip_pct"] is not None:
        text = f"flip {total['flip_points']:,.0f} ({total['flip_status']})"
        axes.axvline(
            100.0 * total["flip_pct"], color=_TOTAL, linewidth=0.9, linestyle="--", label=text
        )
    axes.set_xlabel("move of spot [%]")
    axes.set_ylabel(f"dealer gamma [{word} USD per 1 %]")
    axes.legend(frameon=False, fontsize=8)
    missing = ", ".join(total["members_missing"]) or "none"
    axes.set_title(
        f"{total['underlying']} {total['event_at']:%Y-%m-%d %H:%M} UTC, model {headline}; "
        f"missing: {missing}",
        fontsize=9,
        loc="left",
    )
    return png_bytes(figure, dpi=dpi)
