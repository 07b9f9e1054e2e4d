"""From the lake to the alert store, and from the store back into the lake.

Belongs here: asking the rules, and the history of alerts as lake rows. Does not belong here: rules
(`domain/alerting`), what they are shown (`alert_view`), the store (`alerts/`), when it is done
(`defs/alerts.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets import tables
from dealer_assets.alerts.model import Queued, Raised, Step
from dealer_assets.alerts.store import AlertStore
from dealer_assets.derived import trailing
from dealer_assets.derived.alert_view import ANOMALIES, View, candidates_of, of_model
from dealer_assets.domain import sessions
from dealer_assets.domain.alerting import feeds, quality, scored, snapshots, strikes
from dealer_assets.domain.alerting.alert import Found
from dealer_assets.domain.alerting.table import Rule
from dealer_assets.lake.layout import SESSION_PART
from dealer_assets.lake.reader import read_partition
from dealer_assets.lake.storage import Lake
from dealer_assets.lake.writer import write_part

Rules = Mapping[str, Rule]


def about_market(view: View, rules: Rules, *, model: str) -> Found:
    """Return what the rules about levels, regimes and scores find in a session.

    Parameters
    ----------
    view : View
        The session.
    rules : mapping of str to Rule
        By name; those that are off are not asked.
    model : str
        Position model whose levels and regimes are looked at.
    """
    symbol, day = view.asset.symbol, view.day
    found = Found()
    on = {name: rule for name, rule in rules.items() if rule.is_on}
    if on.keys() & {"flip_crossed", "wall_shifted"}:
        levels = view.rows(
            tables.EXPOSURE_LEVELS, snapshots.LEVEL_COLUMNS, of_model(model), and_before=True
        )
        for name, ask in (
            ("flip_crossed", snapshots.flip_crossed),
            ("wall_shifted", snapshots.wall_shifted),
        ):
            found += ask(on[name], symbol, day, levels) if name in on else Found()
    if rule := on.get("regime_changed"):
        regimes = view.rows(
            tables.DEALER_REGIMES, snapshots.REGIME_COLUMNS, of_model(model), and_before=True
        )
        found += snapshots.regime_changed(rule, symbol, day, regimes)
    if rule := on.get("strike_changed"):
        changes = view.rows(tables.STRIKE_CHANGES, strikes.CHANGE_COLUMNS, candidates_of(model))
        found += strikes.strike_changed(rule, symbol, day, changes)
    return found + _about_scores(view, on)


def _about_scores(view: View, on: Rules) -> Found:
    symbol, day = view.asset.symbol, view.day
    found = Found()
    if rule := on.get("score_at_least"):
        scores = view.rows(tables.ANOMALY_SCORES, scored.CONTRACT_COLUMNS, ANOMALIES)
        found += scored.score_at_least(rule, symbol, day, scores)
    if rule := on.get("underlying_score_at_least"):
        scores = view.rows(tables.UNDERLYING_SCORES, scored.MEASURE_COLUMNS, ANOMALIES)
        found += scored.underlying_score_at_least(rule, symbol, day, scores)
    return found


def about_data(view: View, rules: Rules) -> Found:
    """Return what the rules about data and feeds find in a session; see `about_market`.

    It reads little, and needs no run to have succeeded: where data is bad, runs stop.
    """
    symbol, day = view.asset.symbol, view.day
    found = Found()
    on = {name for name, rule in rules.items() if rule.is_on}
    if "data_problem" in on:
        found += quality.data_problem(rules["data_problem"], symbol, day, *view.problems())
    if "stale_data" in on and view.is_running:
        found += quality.stale_data(
            rules["stale_data"],
            symbol,
            day,
            instants=view.instants(tables.CHAIN_SNAPSHOTS),
            opened=sessions.session_open(view.asset.calendar, day),
            quotes_end=sessions.quotes_end(view.asset.calendar, day),
            now=view.now - view.delay,
        )
    if "feed_gap" in on:
        found += feeds.feed_gap(rules["feed_gap"], symbol, day, view.gaps(), view.beats())
    return found


def hand_over(store: AlertStore, view: View, found: Found) -> Raised:
    """Hand what was found to the store; alerts of a simulated chain say so."""
    alerts = found.alerts
    if alerts and trailing.is_simulated(view.lake, view.asset, view.day):
        alerts = tuple(
            replace(a, title=f"[simulated] {a.title}", facts={**a.facts, "is_simulated": True})
            for a in alerts
        )
    return store.raise_alerts(alerts, view.now, endings=found.endings)


@dataclass(frozen=True)
class Exported:
    """A session's alerts as they stand in the lake.

    Parameters
    ----------
    rows : pyarrow.Table
        `tables.ALERTS`.
    is_changed : bool
        Whether the part was written.
    """

    rows: pa.Table
    is_changed: bool


def export_session(lake: Lake, store: AlertStore, underlying: str, day: date) -> Exported:
    """Write the history of a session's alerts; the same store gives the same bytes.

    Alerts that the lake holds and the store does not stay: a store that was lost is no reason to
    lose what it had told.

    Parameters
    ----------
    lake : Lake
        Storage; must be writable.
    store : AlertStore
        Where alerts live.
    underlying : str
        Registry symbol, or ``PLATFORM``.
    day : datetime.date
        Session; of ``PLATFORM`` a UTC day.
    """
    table = tables.ALERTS
    rows = rows_of(store.of_session(underlying, day))
    before = read_partition(lake, table, underlying, day)
    if before.num_rows:
        kept = before.filter(pc.invert(pc.is_in(before["alert_id"], value_set=_ids(rows))))
        rows = pa.concat_tables([kept, rows])
    if not rows.num_rows:
        return Exported(rows, is_changed=False)
    written = write_part(
        lake, table, rows, underlying=underlying, session_date=day, name=SESSION_PART
    )
    return Exported(rows, written.changed)


def is_exported(lake: Lake, store: AlertStore, underlying: str, day: date) -> bool:
    """Tell whether the lake has every step of a session's alerts that the store has."""
    rows = rows_of(store.of_session(underlying, day))
    held = read_partition(lake, tables.ALERTS, underlying, day)
    held = held.filter(pc.is_in(held["alert_id"], value_set=_ids(rows)))
    by = [(name, "ascending") for name in tables.ALERTS.key]
    return bool(held.sort_by(by).equals(rows.sort_by(by)))


def _ids(rows: pa.Table) -> pa.Array:
    return pc.unique(rows["alert_id"])


def rows_of(told: Sequence[tuple[Queued, Sequence[Step]]]) -> pa.Table:
    """Return alerts and their steps as `tables.ALERTS`; both clocks are the step's instant."""
    rows = [_row(queued, step) for queued, steps in told for step in steps]
    return pa.Table.from_pylist(rows, schema=tables.ALERTS.schema)


def _row(queued: Queued, step: Step) -> dict[str, object]:
    alert = queued.alert
    return {
        "underlying": alert.underlying,
        "session_date": alert.session_date,
        "event_at": step.at,
        "known_at": step.at,
        "alert_id": alert.alert_id,
        "step": step.step,
        "happening": step.happening,
        "state": step.state,
        "done_by": step.by,
        "channel": step.channel,
        "detail": step.detail,
        "rule": alert.rule,
        "severity": alert.severity,
        "alert_at": alert.event_at,
        "alert_known_at": alert.known_at,
        "last_seen_at": alert.last_seen_at,
        "is_historical": queued.is_historical,
        "cooled": queued.cooled,
        "dedupe_key": alert.dedupe_key,
        "title": alert.title,
        "body": alert.body,
        "facts": json.dumps(dict(alert.facts), sort_keys=True),
    }
