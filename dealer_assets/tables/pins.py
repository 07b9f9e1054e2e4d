"""Tables of strikes that pull or push, of what changed at them, and of how levels fared.

Belongs here: pins, changes by strike, scores of levels. Does not belong here: exposures and the
levels themselves (`exposure`).
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import ID, INSTANT, MODEL, Column, Table

PIN_DIRECTIONS = ("pulls_up", "pulls_down", "holds", "repels", "none")
"""Where hedging at a strike pushes spot: up or down to it; stay at it; away from it; nowhere."""

REACH_SOURCES = ("expected_move", "declared")
"""The kernel's width: one day's expected move, or a declared share of spot where none is told."""

CHANGE_KINDS = ("none", "position", "book", "price")
"""What moved a strike: nothing beyond the ordinary; positions; contracts that entered or left the
book; spot, vol and time alone."""

LEVEL_KINDS = (
    "call_wall",
    "put_wall",
    "absolute_gamma_strike",
    "flip",
    "max_pain",
    "pin_1",
    "pin_2",
    "pin_3",
    "round_number",
)
"""Levels that are scored; ``round_number`` is a control that no option market is asked for."""

LEVEL_STATES = ("ok", "none", "doubtful", "not_held")
"""Told; there is none; told, but its own status or the chain's quality says it may not be used;
what tells it (pins of the snapshot) is not in the lake."""

PATH_SOURCES = ("index_values", "snapshots", "daily_bar")
"""What a session's prices were read from."""

_GAMMA = "USD per 1 % spot"


def _usd(name: str, doc: str, *, nullable: bool = True) -> Column:
    return Column(name, pa.float64(), "USD", doc, nullable)


def _gamma(name: str, doc: str, *, nullable: bool = False) -> Column:
    return Column(name, pa.float64(), _GAMMA, doc, nullable)


def _contracts(name: str, doc: str, *, nullable: bool = False) -> Column:
    return Column(name, pa.float64(), "contracts", doc, nullable)


_STRIKE = (
    Column("strike", pa.float64(), "price", "Strike price.", lower=1e-9),
    Column("spot", pa.float64(), "USD", "Underlying price used.", lower=1e-9),
)
_REACH = Column(
    "reach_share", pa.float64(), "1", "Width of the proximity kernel over spot.", lower=1e-9
)

PIN_LEVELS = Table(
    name="pin_levels",
    doc="How strongly hedging at each strike pulls spot to it or pushes it away, by model.",
    grain="underlying x snapshot x model x strike",
    key=("event_at", "model", "strike"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        *_STRIKE,
        _contracts("position_contracts", "Dealer position, all expiries; > 0 is long."),
        _gamma("gamma_exposure_usd_per_pct", "Dealer gamma, all expiries."),
        _REACH,
        Column("reach_source", pa.string(), "-", "Where it came from.", allowed=REACH_SOURCES),
        Column("proximity", pa.float64(), "1", "Kernel: 1 at spot.", lower=0.0, upper=1.0),
        Column(
            "time_weight",
            pa.float64(),
            "1",
            "Weight of its expiries, by gross gamma: 1 expires now.",
            lower=0.0,
            upper=1.0,
        ),
        _gamma("pin_force_usd_per_pct", "Proximity x sum of weighted gamma; > 0 pulls."),
        Column("pin_direction", pa.string(), "-", "Where it pushes.", allowed=PIN_DIRECTIONS),
        Column(
            "pin_strength",
            pa.float64(),
            "1",
            "Part of the sum of absolute forces; null: there is none.",
            True,
            lower=0.0,
        ),
        Column("strength_rank", pa.int32(), "1", "1 is the greatest absolute force.", lower=1),
        Column("is_pin", pa.bool_(), "-", "Pulls, and stands out from the strikes around spot."),
        Column("pin_rank", pa.int32(), "1", "Of pins by force; null: no pin.", True, lower=1),
    ),
)

STRIKE_CHANGES = Table(
    name="strike_changes",
    doc="What changed at each strike since the snapshot before and since the session's first.",
    grain="underlying x snapshot x model x strike",
    key=("event_at", "model", "strike"),
    part="snapshot",
    columns=(
        *ID,
        MODEL,
        *_STRIKE,
        _REACH,
        Column("previous_at", INSTANT, "UTC", "Snapshot compared with; null: the first.", True),
        Column("first_at", INSTANT, "UTC", "The session's first snapshot of this model."),
        _contracts("position_contracts", "Dealer position, all expiries."),
        _gamma("gamma_exposure_usd_per_pct", "Dealer gamma, all expiries."),
        _gamma("pin_force_usd_per_pct", "Pin force."),
        _contracts("position_change_contracts", "Of contracts held both times.", nullable=True),
        _contracts(
            "book_change_contracts", "Of contracts that entered or left the book.", nullable=True
        ),
        _gamma("force_change_usd_per_pct", "Pin force less that before.", nullable=True),
        _gamma("force_by_position_usd_per_pct", "Part by changed positions.", nullable=True),
        _gamma("force_by_book_usd_per_pct", "Part by contracts in and out.", nullable=True),
        _gamma("force_by_price_usd_per_pct", "Part by spot, vol and time.", nullable=True),
        _gamma(
            "gamma_by_position_usd_per_pct",
            "Change of gamma by changed positions, whatever the distance.",
            nullable=True,
        ),
        _contracts("position_change_since_first_contracts", "Sum over the session's snapshots."),
        _contracts("book_change_since_first_contracts", "Sum over the session's snapshots."),
        _gamma("force_change_since_first_usd_per_pct", "Sum over the session's snapshots."),
        _gamma("force_by_position_since_first_usd_per_pct", "Of it, by changed positions."),
        Column(
            "position_z",
            pa.float64(),
            "1",
            "Robust z of gamma_by_position among the snapshot's strikes.",
            True,
        ),
        Column("force_z", pa.float64(), "1", "Robust z of force_change among them.", True),
        Column("threshold_z", pa.float64(), "1", "Beyond it a change stands out.", lower=0.0),
        Column("change_kind", pa.string(), "-", "What moved it.", allowed=CHANGE_KINDS),
        Column("is_changed", pa.bool_(), "-", "Positions changed beyond the threshold."),
        Column("is_alert_candidate", pa.bool_(), "-", "Changed, and within reach of spot."),
        Column("alert_text", pa.string(), "-", "The change in words; null: no candidate.", True),
    ),
)


def _trailing(name: str, what: str) -> tuple[Column, ...]:
    """Over the trailing sessions: what was found, by chance, and how rare that is by chance."""
    return (
        Column(f"{name}", pa.float64(), "1", f"{what} over the trailing sessions.", True),
        Column(f"{name}_base", pa.float64(), "1", "The same of matched random levels.", True),
        Column(f"{name}_p", pa.float64(), "1", "Two-sided p-value.", True, lower=0.0, upper=1.0),
    )


LEVEL_SCORES = Table(
    name="level_scores",
    doc="How the levels settled the session before fared in a session, beside matched random ones.",
    grain="underlying x session x model x level",
    key=("model", "level_kind"),
    part="session",
    columns=(
        *ID,  # event_at: the path's last instant
        MODEL,
        Column("level_kind", pa.string(), "-", "Which level.", allowed=LEVEL_KINDS),
        Column("level_state", pa.string(), "-", "What it is worth.", allowed=LEVEL_STATES),
        _usd("level_price", "The level; null: there is none."),
        Column("set_at", INSTANT, "UTC", "Snapshot it was read from, of the session before."),
        _usd("reference_price", "Spot at that snapshot.", nullable=False),
        _usd("expected_move_usd", "One session's standard deviation told then; null: none."),
        Column(
            "distance_moves",
            pa.float64(),
            "expected moves",
            "ln(level / reference) in expected moves; > 0 above.",
            True,
        ),
        Column("path_source", pa.string(), "-", "Where prices came from.", allowed=PATH_SOURCES),
        Column("path_points", pa.int32(), "1", "Prices read; 4 of a bar.", lower=1),
        Column(
            "path_share", pa.float64(), "1", "Part of the session between first and last.", lower=0
        ),
        _usd("open_price", "First price.", nullable=False),
        _usd("high_price", "Highest.", nullable=False),
        _usd("low_price", "Lowest.", nullable=False),
        _usd("close_price", "Last.", nullable=False),
        Column("is_scored", pa.bool_(), "-", "State ok, distance told, path long enough."),
        Column("is_touched", pa.bool_(), "-", "Traded at; null: not scored.", True),
        Column("is_held", pa.bool_(), "-", "Turned there; null: not touched.", True),
        Column("is_closed_beyond", pa.bool_(), "-", "Ended beyond; null: not touched.", True),
        Column(
            "close_distance_moves",
            pa.float64(),
            "expected moves",
            "|ln(close / level)| in expected moves.",
            True,
            lower=0.0,
        ),
        Column("trailing_sessions", pa.int32(), "sessions", "Scored, this one included.", lower=0),
        Column("trailing_touched", pa.int32(), "sessions", "Of them touched.", lower=0),
        *_trailing("touched_share", "Touched"),
        *_trailing("held_share", "Held, of those touched,"),
        *_trailing("closed_beyond_share", "Closed beyond, of those touched,"),
        *_trailing("mean_close_distance", "Mean distance at close [expected moves]"),
    ),
)
