"""Tables of dealers' positions: the evidence of a session, and what is believed after it.

Belongs here: estimates with their uncertainty. Does not belong here: what venues publish about
holders (`positions`), dollars (`exposure`).

Positions are *settled*: those a session opens with, from everything known before it. What the
session's own trades add is the live tables' matter; the two are never mixed in one number.
"""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import CONTRACT, ID, MODEL, Column, Table

FLOW_SOURCES = ("tape", "live", "open_close")
"""Published tape, classified; the streaming process' own trades; market makers' exact counts."""

OPEN_INTEREST_STATES = ("ok", "missing", "wiped", "shifted", "broken")
"""Of the counts a change was read from: told; not there; zero or blank almost everywhere; those of
another session; a structural break. Only ``ok`` constrains a position."""


def _contracts(
    name: str, doc: str, *, nullable: bool = False, lower: float | None = None
) -> Column:
    return Column(name, pa.float64(), "contracts", doc, nullable, lower=lower)


SIGNED_FLOW = Table(
    name="signed_flow",
    doc="A session's trades by contract: how much customers bought net, and how sure that is.",
    grain="underlying x session x source x contract",
    key=("source", "root", "expiry_date", "strike", "right"),
    part="session",
    columns=(
        *ID,  # event_at: the session's close; known_at: when its last print was known
        Column("source", pa.string(), "-", "What the flow was read from.", allowed=FLOW_SOURCES),
        *CONTRACT,
        Column("trades", pa.int64(), "1", "Prints that stand; cancelled ones are out.", lower=0),
        _contracts("volume_contracts", "Their size, every kind of print.", lower=0.0),
        _contracts("signed_volume_contracts", "Of it with a side told by some rule.", lower=0.0),
        _contracts("apart_volume_contracts", "Of it in packages, late or blocks.", lower=0.0),
        _contracts("customer_net_contracts", "Expected customers' buys minus sells."),
        _contracts("customer_net_sd_contracts", "Standard deviation of that.", lower=0.0),
        Column(
            "squared_size_contracts2",
            pa.float64(),
            "contracts squared",
            "Sum of squared sizes: what open and close of each print can vary by.",
            lower=0.0,
        ),
        Column(
            "mean_confidence",
            pa.float64(),
            "1",
            "Probability of the sides, weighted by size; null: none has a side.",
            True,
            lower=0.0,
        ),
    ),
)

DEALER_POSITIONS = Table(
    name="dealer_positions",
    doc="Settled dealer position of every contract a session opens with, by model, with its error.",
    grain="underlying x session x model x contract",
    key=("model", "root", "expiry_date", "strike", "right"),
    part="session",
    columns=(
        *ID,  # event_at: the session's open; known_at: when its open interest and flow were known
        MODEL,
        *CONTRACT,
        _contracts("open_interest_contracts", "Settled open interest.", nullable=True, lower=0.0),
        Column(
            "open_interest_state",
            pa.string(),
            "-",
            "What the open interest is worth.",
            allowed=OPEN_INTEREST_STATES,
        ),
        _contracts("position_contracts", "Dealers' position as a group, > 0 long."),
        _contracts(
            "position_sd_contracts",
            "Standard deviation; 0: declared or exact; null: the model tells none.",
            nullable=True,
            lower=0.0,
        ),
        _contracts("position_lo_contracts", "5 % quantile.", nullable=True),
        _contracts("position_hi_contracts", "95 % quantile.", nullable=True),
        Column(
            "evidence_share",
            pa.float64(),
            "1",
            "Part of the prior's variance that flow and open interest took away.",
            True,
            lower=0.0,
        ),
        _contracts(
            "effective_contracts",
            "Traded contracts the estimate is worth: signed at certainty they would tell as much.",
            nullable=True,
            lower=0.0,
        ),
        Column("sessions_of_flow", pa.int32(), "sessions", "Sessions that fed it.", lower=0),
        Column("is_since_listing", pa.bool_(), "-", "Followed from its first day on."),
    ),
)
