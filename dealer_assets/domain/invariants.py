"""Numeric invariants of each table: what must hold whatever the market does.

Belongs here: pure checks of rows, each with a name, a verdict and the numbers behind it. Does not
belong here: schema conformity (`lake/writer.py` enforces it), Dagster, or freshness.
A blocking invariant stops everything downstream of the table; the others warn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.domain.alerting.verdicts import historical_ones_were_not_sent, steps_are_whole
from dealer_assets.domain.anomaly.data.scene import WORDS as DATA_WORDS
from dealer_assets.domain.anomaly.data.verdicts import absent, check_name, is_blocking
from dealer_assets.domain.anomaly.evaluation_verdicts import (
    false_discovery_within_target,
    shares_add_up,
)
from dealer_assets.domain.anomaly.feature_verdicts import (
    enough_is_scored,
    features_follow_volume,
    nothing_from_later,
)
from dealer_assets.domain.anomaly.score_verdicts import marks_follow_control
from dealer_assets.domain.anomaly.underlying.verdicts import (
    anomalies_follow_control,
    history_is_held,
    statuses_fit,
)
from dealer_assets.domain.columns import expired, floats
from dealer_assets.domain.coverage import coverage_of
from dealer_assets.domain.exposure.levels import (
    MIN_DETERMINED_OI_SHARE,
    MIN_TWO_SIDED_SHARE,
    determined_oi_share,
    two_sided_share,
)
from dealer_assets.domain.flow.verdicts import flow_within_volume
from dealer_assets.domain.metric_verdicts import (
    buckets_add_up,
    label_follows_rule,
    members_add_up,
    pressure_adds_up,
    prices_in_order,
    volume_measured,
)
from dealer_assets.domain.pin_verdicts import (
    changes_add_up,
    outcomes_fit_prices,
    strengths_add_up,
)
from dealer_assets.domain.positions.verdicts import (
    counts_compared,
    quantiles_in_order,
    score_is_usual,
    within_open_interest,
)
from dealer_assets.underlyings import Underlying

_RELATIVE = 1e-9
_MAX_PARITY_RESIDUAL = 1.0
"""Half-spreads: above it, call and put quotes of a slice contradict each other."""

_MAX_VOL = 20.0
"""2,000 %: real 0DTE wings reach several hundred per cent; above it a price was misread."""


@dataclass(frozen=True)
class Verdict:
    """What one invariant says of some rows.

    Parameters
    ----------
    holds : bool
        Whether it holds.
    text : str
        Expected and found, in words.
    numbers : dict of str to float
        Figures behind the verdict.
    """

    holds: bool
    text: str
    numbers: dict[str, float]


@dataclass(frozen=True)
class Invariant:
    """One named invariant.

    Parameters
    ----------
    name : str
        Check name.
    doc : str
        What must hold, and why.
    blocking : bool
        Whether a failure stops what is downstream.
    judge : callable
        ``(rows, underlying) -> Verdict``; rows are one or more snapshots of one underlying.
    """

    name: str
    doc: str
    blocking: bool
    judge: Callable[[pa.Table, Underlying], Verdict]


Judge = Callable[[pa.Table, Underlying], Verdict]


def _each_snapshot(judge: Judge) -> Judge:
    """Judge snapshots one by one, so that a faulty one is not hidden among a session's good ones.

    The verdict is the first that does not hold, or else the last.
    """

    def judge_all(rows: pa.Table, underlying: Underlying) -> Verdict:
        event_at = rows["event_at"].cast(pa.int64()).to_numpy()
        bounds = [0, *(np.flatnonzero(np.diff(event_at)) + 1).tolist(), rows.num_rows]
        for start, stop in pairwise(bounds):
            verdict = judge(rows.slice(start, stop - start), underlying)
            if not verdict.holds:
                break
        return verdict

    return judge_all


def _quotes_two_sided(rows: pa.Table, _: Underlying) -> Verdict:
    live = rows.filter(pa.array(~expired(rows)))
    share = two_sided_share(live)
    return Verdict(
        share >= MIN_TWO_SIDED_SHARE,
        f"expected at least {MIN_TWO_SIDED_SHARE:.0%} of live contracts with bid and ask, "
        f"found {share:.1%}",
        {"two_sided_share": share, "live_contracts": live.num_rows},
    )


def _open_interest_present(rows: pa.Table, _: Underlying) -> Verdict:
    counts = floats(rows, "open_interest_contracts")
    total = float(np.nan_to_num(counts).sum())
    found = f"{total:,.0f} contracts in all (wiped at the vendor?)"
    if np.isnan(counts).all():
        found = "that no contract tells it: for a past session it must have been archived that day"
    return Verdict(
        total > 0.0, f"expected open interest, found {found}", {"open_interest_contracts": total}
    )


def _chain_complete(rows: pa.Table, underlying: Underlying) -> Verdict:
    coverage = coverage_of(underlying, rows)
    text = "; ".join(coverage.reasons) or "the chain spans what a whole one spans"
    return Verdict(not coverage.is_partial, text, {"contracts": rows.num_rows})


def _vols_determined(rows: pa.Table, _: Underlying) -> Verdict:
    share = determined_oi_share(rows)
    return Verdict(
        share >= MIN_DETERMINED_OI_SHARE,
        f"expected at least {MIN_DETERMINED_OI_SHARE:.0%} of open interest with a vol from a "
        f"quote, found {share:.1%}",
        {"determined_oi_share": share},
    )


def _vols_in_range(rows: pa.Table, _: Underlying) -> Verdict:
    vol = floats(rows, "implied_vol")
    beyond = int(np.sum(vol > _MAX_VOL))
    return Verdict(
        beyond == 0,
        f"expected every implied vol within {_MAX_VOL:.0%}, found {beyond} beyond",
        {"beyond": beyond},
    )


def _parity_holds(rows: pa.Table, _: Underlying) -> Verdict:
    residual = floats(rows, "forward_residual")
    worst = float(np.nanmedian(residual)) if np.isfinite(residual).any() else 0.0
    return Verdict(
        worst <= _MAX_PARITY_RESIDUAL,
        f"expected call-put parity within {_MAX_PARITY_RESIDUAL:g} half-spreads in the median "
        f"slice, found {worst:.2f}",
        {"median_parity_residual_half_spreads": worst},
    )


def _gamma_not_negative(rows: pa.Table, _: Underlying) -> Verdict:
    negative = int(np.sum(floats(rows, "gamma") < 0.0))
    return Verdict(negative == 0, f"expected no negative gamma, found {negative}", {"n": negative})


def _exposures_finite(rows: pa.Table, _: Underlying) -> Verdict:
    names = [n for n in rows.column_names if "_exposure_" in n]
    bad = sum(int(np.sum(~np.isfinite(floats(rows, name)))) for name in names)
    return Verdict(bad == 0, f"expected finite exposures, found {bad} that are not", {"n": bad})


def _net_is_sum(rows: pa.Table, _: Underlying) -> Verdict:
    net = floats(rows, "net_gamma_exposure_usd_per_pct")
    calls = floats(rows, "call_gamma_exposure_usd_per_pct")
    puts = floats(rows, "put_gamma_exposure_usd_per_pct")
    gross = floats(rows, "gross_gamma_exposure_usd_per_pct")
    gap = float(np.max(np.abs(net - calls - puts) / np.maximum(gross, 1.0), initial=0.0))
    return Verdict(
        gap <= _RELATIVE,
        f"expected net = calls + puts, found a gap of {gap:.1e} of gross",
        {"gap_of_gross": gap},
    )


def _publishable(rows: pa.Table, _: Underlying) -> Verdict:
    reasons = sorted({r for many in rows["quality_reasons"].to_pylist() for r in many})
    text = f"not publishable: {', '.join(reasons)}" if reasons else "all quality thresholds hold"
    return Verdict(not reasons, text, {"reasons": len(reasons)})


def _holds_spot(rows: pa.Table, _: Underlying) -> Verdict:
    away = np.abs(floats(rows, "spot_level") / floats(rows, "spot") - 1.0)
    nearest = float(away.min(initial=1.0))
    return Verdict(
        nearest <= _RELATIVE,
        f"expected a profile level at spot itself, the nearest is {nearest:.1e} away",
        {"nearest": nearest},
    )


def _surface_sound(rows: pa.Table, _: Underlying) -> Verdict:
    if rows.num_rows == 0:
        return Verdict(True, "no contract is priced, so there is no surface", {"slices": 0})
    row = rows.to_pylist()[0]
    reasons = ", ".join(row["reasons"])
    share = row["in_spread_share"] or 0.0
    return Verdict(
        row["is_sound"],
        f"surface not sound: {reasons}" if reasons else f"{share:.1%} of quotes within bid-ask",
        {"in_spread_share": share, "slices": row["expiries"], "fitted": row["fitted"]},
    )


def _no_arbitrage(column: str, what: str) -> Judge:
    def judge(rows: pa.Table, _: Underlying) -> Verdict:
        fitted = rows.filter(pc.equal(rows["method"], "fit"))
        bad = int(np.sum(floats(fitted, column) < 0.0))
        return Verdict(
            bad == 0, f"expected no {what} arbitrage, found it in {bad} fits", {"n": bad}
        )

    return judge


def _forwards_told(rows: pa.Table, _: Underlying) -> Verdict:
    told = int(np.sum(np.isfinite(floats(rows, "forward"))))
    broken = int(pc.sum(pc.equal(rows["quality"], "parity_broken")).as_py() or 0)
    return Verdict(
        broken == 0 and (told > 0 or rows.num_rows == 0),
        f"expected forwards that calls and puts agree on, found {told} of {rows.num_rows} told, "
        f"{broken} contradicted",
        {"told": told, "broken": broken},
    )


def _band_ordered(rows: pa.Table, _: Underlying) -> Verdict:
    pairs = (
        ("flip_lo", "flip_hi"),
        ("flip_convention_lo", "flip_convention_hi"),
        ("net_gamma_lo_usd_per_pct", "net_gamma_hi_usd_per_pct"),
    )
    wrong = sum(int(np.sum(floats(rows, lo) > floats(rows, hi))) for lo, hi in pairs)
    return Verdict(wrong == 0, f"expected lo <= hi, found {wrong} bands reversed", {"n": wrong})


def _base_is_ours(rows: pa.Table, _: Underlying) -> Verdict:
    bases = int(pc.sum(pc.equal(rows["axis"], "base")).as_py() or 0)
    expected = len(set(rows["event_at"].to_pylist()))
    return Verdict(bases == expected, f"expected {expected} base rows, found {bases}", {"n": bases})


def _flow_adds_up(rows: pa.Table, _: Underlying) -> Verdict:
    names = ("gamma_flow_usd", "vanna_flow_usd", "charm_flow_usd", "residual_flow_usd")
    flow = floats(rows, "forced_flow_usd")
    gap = np.abs(flow - sum(floats(rows, name) for name in names))
    worst = float(np.max(gap / np.maximum(np.abs(flow), 1.0), initial=0.0))
    return Verdict(
        worst <= _RELATIVE, f"expected flow = its parts, found a gap of {worst:.1e}", {"gap": worst}
    )


def _volumes_not_negative(rows: pa.Table, _: Underlying) -> Verdict:
    name = "volume_contracts" if "volume_contracts" in rows.column_names else rows.column_names[-2]
    least = pc.min(rows[name]).as_py() if rows.num_rows else 0.0
    return Verdict(least >= 0.0, f"expected no negative volume, found {least:g}", {"least": least})


def _not_interrupted(rows: pa.Table, _: Underlying) -> Verdict:
    whole = not pc.any(rows["is_interrupted"]).as_py()
    longest = float(pc.max(rows["longest_gap_minutes"]).as_py() or 0.0)
    snapshots = int(pc.max(rows["session_snapshots"]).as_py() or 0)
    return Verdict(
        whole,
        "expected snapshots all through the open session, found a stretch of "
        f"{longest:.0f} minutes without one among {snapshots}: a halt of the market, or runs that "
        "failed here",
        {"longest_gap_minutes": longest, "session_snapshots": snapshots},
    )


def _every_print_live(rows: pa.Table, _: Underlying) -> Verdict:
    missing = int(pc.sum(rows["missing_prints"]).as_py() or 0)
    volume = float(pc.sum(rows["missing_volume_contracts"]).as_py() or 0.0)
    if rows.num_rows and rows["missing_prints"].null_count == rows.num_rows:
        return Verdict(True, "no published tape is held to compare with", {})
    return Verdict(
        missing == 0,
        f"expected every published print live, found {missing:,} missing of {volume:,.0f} "
        "contracts: gaps that were not fetched again, see feed_gaps",
        {"missing_prints": missing, "missing_contracts": volume},
    )


def _change_within_volume(rows: pa.Table, _: Underlying) -> Verdict:
    within = rows["is_change_within_volume"].drop_null()
    beyond = len(within) - int(pc.sum(within).as_py() or 0)
    return Verdict(
        beyond == 0,
        f"expected open interest to change by no more than the volume, found {beyond} contracts "
        "that changed by more: trades are missing, or positions were moved or exercised",
        {"beyond": beyond, "known": len(within)},
    )


def _absent(kind: str) -> Judge:
    return lambda rows, _: Verdict(*absent(rows, kind))


INVARIANTS: dict[str, tuple[Invariant, ...]] = {
    tables.CHAIN_SNAPSHOTS.name: (
        Invariant(
            "quotes_two_sided",
            "A chain without bids is no market picture; vols inverted from it are noise.",
            blocking=True,
            judge=_each_snapshot(_quotes_two_sided),
        ),
        Invariant(
            "open_interest_present",
            "Vendors wipe open interest overnight; exposures from zeros would look calm.",
            blocking=True,
            judge=_each_snapshot(_open_interest_present),
        ),
        Invariant(
            "chain_complete",
            "A partial chain is kept and marked, never published as whole.",
            blocking=False,
            judge=_each_snapshot(_chain_complete),
        ),
    ),
    tables.CONTRACT_GREEKS.name: (
        Invariant(
            "vols_determined",
            "Most open interest must be priced from a quote, not from interpolation.",
            blocking=True,
            judge=_each_snapshot(_vols_determined),
        ),
        Invariant(
            "vols_in_range", "No vol is beyond reason.", blocking=False, judge=_vols_in_range
        ),
        Invariant(
            "parity_holds",
            "Calls and puts of a slice agree on its forward.",
            blocking=False,
            judge=_each_snapshot(_parity_holds),
        ),
        Invariant(
            "gamma_not_negative",
            "A long option has no negative gamma.",
            blocking=True,
            judge=_gamma_not_negative,
        ),
    ),
    tables.FORWARDS.name: (
        Invariant(
            "forwards_told",
            "Every chain tells forwards, and its calls and puts do not contradict each other.",
            blocking=False,
            judge=_each_snapshot(_forwards_told),
        ),
    ),
    tables.VOL_SURFACE.name: (
        Invariant(
            "no_butterfly_arbitrage",
            "Fitted smiles imply no negative density.",
            blocking=False,
            judge=_no_arbitrage("butterfly_slack", "butterfly"),
        ),
        Invariant(
            "no_calendar_arbitrage",
            "Total variance of fitted smiles does not fall with expiry.",
            blocking=False,
            judge=_no_arbitrage("calendar_slack", "calendar"),
        ),
    ),
    tables.SURFACE_QUALITY.name: (
        Invariant(
            "surface_sound",
            "The surface describes its quotes within declared thresholds, or nothing is built.",
            blocking=True,
            judge=_each_snapshot(_surface_sound),
        ),
    ),
    tables.GREEK_SURFACE.name: (
        Invariant(
            "gamma_not_negative",
            "A long option has no negative gamma.",
            blocking=True,
            judge=_gamma_not_negative,
        ),
    ),
    tables.LEVEL_BAND.name: (
        Invariant("base_is_ours", "Ours is among them.", blocking=True, judge=_base_is_ours),
    ),
    tables.SCENARIO_GRID.name: (
        Invariant(
            "flow_adds_up",
            "Gamma, vanna, charm and residual are the whole flow.",
            blocking=True,
            judge=_flow_adds_up,
        ),
    ),
    tables.DEALER_EXPOSURE.name: (
        Invariant("exposures_finite", "Sums stay sums.", blocking=True, judge=_exposures_finite),
    ),
    tables.EXPOSURE_LEVELS.name: (
        Invariant("net_is_sum", "Net = calls + puts.", blocking=True, judge=_net_is_sum),
        Invariant("band_ordered", "lo <= hi.", blocking=True, judge=_band_ordered),
        Invariant(
            "publishable",
            "Quality thresholds of the levels; a level that does not meet them says so.",
            blocking=False,
            judge=_publishable,
        ),
    ),
    tables.GAMMA_PROFILE.name: (
        Invariant(
            "holds_spot",
            "The profile can be read at spot.",
            blocking=False,
            judge=_each_snapshot(_holds_spot),
        ),
    ),
    tables.VOLUME_DELTAS.name: (
        Invariant(
            "volumes_not_negative",
            "A counter that went back starts anew.",
            blocking=True,
            judge=_volumes_not_negative,
        ),
    ),
    tables.DAILY_HISTORY.name: (
        Invariant(
            "volumes_not_negative",
            "A day trades zero contracts or more.",
            blocking=True,
            judge=_volumes_not_negative,
        ),
        Invariant(
            "session_not_interrupted",
            "Snapshots came all through the open session, without a long stretch.",
            blocking=False,
            judge=_not_interrupted,
        ),
    ),
    tables.PIN_LEVELS.name: (
        Invariant(
            "strengths_add_up",
            "A strike's strength is its part of all forces of its snapshot and model.",
            blocking=True,
            judge=lambda rows, _: Verdict(*strengths_add_up(rows)),
        ),
    ),
    tables.STRIKE_CHANGES.name: (
        Invariant(
            "changes_add_up",
            "Positions, contracts in and out, and prices are the whole change.",
            blocking=True,
            judge=lambda rows, _: Verdict(*changes_add_up(rows)),
        ),
    ),
    tables.LEVEL_SCORES.name: (
        Invariant(
            "outcomes_fit_prices",
            "Touched is what the session's prices span; what was not touched did not hold.",
            blocking=True,
            judge=lambda rows, _: Verdict(*outcomes_fit_prices(rows)),
        ),
    ),
    tables.CONTRACT_FEATURES.name: (
        Invariant(
            "features_follow_volume",
            "Volume, premium and vega traded of every row fit each other.",
            blocking=True,
            judge=lambda rows, _: Verdict(*features_follow_volume(rows)),
        ),
        Invariant(
            "nothing_from_later",
            "The poll before lies before: an interval never reaches ahead.",
            blocking=True,
            judge=lambda rows, _: Verdict(*nothing_from_later(rows)),
        ),
        Invariant(
            "enough_is_scored",
            "Of most monitored contracts something can be scored.",
            blocking=False,
            judge=lambda rows, _: Verdict(*enough_is_scored(rows)),
        ),
    ),
    tables.ANOMALY_EVALUATION.name: (
        Invariant(
            "shares_add_up",
            "Every value is its hits over its trials.",
            blocking=True,
            judge=lambda rows, _: Verdict(*shares_add_up(rows)),
        ),
        Invariant(
            "false_discovery_within_target",
            "On a simulated session, snapshots with a false discovery are as rare as promised.",
            blocking=False,
            judge=lambda rows, _: Verdict(*false_discovery_within_target(rows)),
        ),
    ),
    tables.SIGNED_FLOW.name: (
        Invariant(
            "flow_within_volume",
            "Nobody bought net more than was traded, and no sum is surer than its prints allow.",
            blocking=True,
            judge=lambda rows, _: Verdict(*flow_within_volume(rows)),
        ),
    ),
    tables.DEALER_POSITIONS.name: (
        Invariant(
            "within_open_interest",
            "Dealers hold no more of a contract than there is.",
            blocking=True,
            judge=lambda rows, _: Verdict(*within_open_interest(rows)),
        ),
        Invariant(
            "quantiles_in_order",
            "Intervals have two ends.",
            blocking=True,
            judge=lambda rows, _: Verdict(*quantiles_in_order(rows)),
        ),
        Invariant(
            "counts_compared",
            "A wiped, shifted or broken count constrains nothing, and somebody should know.",
            blocking=False,
            judge=lambda rows, _: Verdict(*counts_compared(rows)),
        ),
    ),
    tables.POSITION_SCORES.name: (
        Invariant(
            "score_is_usual",
            "Calibration that drifts makes every interval wrong.",
            blocking=False,
            judge=lambda rows, _: Verdict(*score_is_usual(rows)),
        ),
    ),
    tables.UNDERLYING_BARS.name: (
        Invariant(
            "prices_in_order",
            "Prices lie between low and high, and dollars match them.",
            blocking=False,
            judge=lambda rows, _: Verdict(*prices_in_order(rows)),
        ),
    ),
    tables.EXPOSURE_METRICS.name: (
        Invariant(
            "buckets_add_up",
            "Expiry buckets are parts of the whole.",
            blocking=True,
            judge=lambda rows, _: Verdict(*buckets_add_up(rows)),
        ),
        Invariant(
            "pressure_adds_up",
            "Gamma, vanna and charm are the whole hedge pressure.",
            blocking=True,
            judge=lambda rows, _: Verdict(*pressure_adds_up(rows)),
        ),
        Invariant(
            "volume_measured",
            "Metrics are scaled by traded volume that was measured lately.",
            blocking=False,
            judge=lambda rows, _: Verdict(*volume_measured(rows)),
        ),
    ),
    tables.DEALER_REGIMES.name: (
        Invariant(
            "label_follows_rule",
            "Every label but neutral has a rule that holds.",
            blocking=True,
            judge=lambda rows, _: Verdict(*label_follows_rule(rows)),
        ),
    ),
    tables.COMBINED_LEVELS.name: (
        Invariant(
            "members_add_up",
            "The total is the sum of its members.",
            blocking=True,
            judge=lambda rows, _: Verdict(*members_add_up(rows)),
        ),
    ),
    tables.UNDERLYING_SCORES.name: (
        Invariant(
            "anomalies_follow_control",
            "Measures are marked by the false-discovery control over their poll, and no others.",
            blocking=True,
            judge=lambda rows, _: Verdict(*anomalies_follow_control(rows)),
        ),
        Invariant(
            "statuses_fit",
            "A row with a value and a history has a p-value, any other has none and says why.",
            blocking=True,
            judge=lambda rows, _: Verdict(*statuses_fit(rows)),
        ),
        Invariant(
            "history_is_held",
            "Measures are judged against twenty earlier sessions or more.",
            blocking=False,
            judge=lambda rows, _: Verdict(*history_is_held(rows)),
        ),
    ),
    tables.DATA_ANOMALIES.name: tuple(
        Invariant(check_name(kind), f"{words}.", blocking=is_blocking(kind), judge=_absent(kind))
        for kind, words in DATA_WORDS.items()
    ),
    tables.ALERTS.name: (
        Invariant(
            "steps_are_whole",
            "An alert's history begins with being raised, has no gap and goes forwards only.",
            blocking=True,
            judge=lambda rows, _: Verdict(*steps_are_whole(rows)),
        ),
        Invariant(
            "historical_ones_were_not_sent",
            "What was long ago when it was raised wakes nobody.",
            blocking=False,
            judge=lambda rows, _: Verdict(*historical_ones_were_not_sent(rows)),
        ),
    ),
    tables.ANOMALY_SCORES.name: (
        Invariant(
            "marks_follow_control",
            "Exactly those contracts are marked that the control of false discoveries lets pass.",
            blocking=True,
            judge=lambda rows, _: Verdict(*marks_follow_control(rows)),
        ),
    ),
    tables.LIVE_RECONCILIATION.name: (
        Invariant(
            "every_print_live",
            "The stream missed no trade of the tape that was published afterwards.",
            blocking=False,
            judge=_every_print_live,
        ),
        Invariant(
            "change_within_volume",
            "Every contract that trades changes open interest by one or less.",
            blocking=False,
            judge=_change_within_volume,
        ),
    ),
}


def is_sound(table: str, rows: pa.Table, underlying: Underlying) -> bool:
    """Tell whether one snapshot's rows hold every blocking invariant of their table."""
    return all(
        invariant.judge(rows, underlying).holds
        for invariant in INVARIANTS.get(table, ())
        if invariant.blocking
    )
