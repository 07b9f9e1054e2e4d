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
        # what the next session starts from; of the model `reconciled` only
        Column("kind", pa.string(), "-", "Right, distance and tenor: whose prior it shares.", True),
        Column(
            "kind_share",
            pa.float64(),
            "1",
            "Expected position per contract of open interest of its kind.",
            True,
            lower=-1.0,
            upper=1.0,
        ),
        Column("kind_share_sd", pa.float64(), "1", "Its standard deviation.", True, lower=0.0),
        _contracts(
            "kind_loading_contracts",
            "Change of the mean with the kind's share: the error that contracts of a kind have "
            "in common is this times its standard deviation.",
            nullable=True,
        ),
        _contracts(
            "filter_mean_contracts",
            "Mean before open interest bounds it.",
            nullable=True,
        ),
        _contracts(
            "filter_sd_contracts",
            "Standard deviation before that, at a given share of its kind.",
            nullable=True,
            lower=0.0,
        ),
    ),
)


def _share(name: str, doc: str, *, lower: float | None = 0.0) -> Column:
    return Column(name, pa.float64(), "1", doc, True, lower=lower, upper=1.0)


def _error(name: str, doc: str) -> Column:
    return _contracts(name, doc, nullable=True, lower=0.0)


POSITION_SCORES = Table(
    name="position_scores",
    doc="What a session's positions and flow said, against what the next morning told.",
    grain="underlying x session x model",
    key=("model",),
    part="session",
    columns=(
        *ID,  # event_at: the session's close; known_at: when the next morning's counts were known
        MODEL,
        Column("contracts", pa.int64(), "1", "That traded and whose change is known.", lower=0),
        _contracts("volume_contracts", "Of every contract that traded.", lower=0.0),
        _share("signed_share", "Of the volume, what has a side by some rule."),
        _error("change_error_contracts", "Root mean square error of the foretold changes of OI."),
        _error("baseline_error_contracts", "The same of 0.4 times the volume."),
        _share("change_skill", "1 - error / baseline error; < 0: the baseline.", lower=None),
        _share("change_coverage", "Changes within the foretold 90 % interval."),
        _share("expected_opening_share", "Net opening share of volume foretold with.", lower=None),
        _share("opening_share", "The session's own: net change of OI by volume.", lower=None),
        Column("counted_contracts", pa.int64(), "1", "With a tape and exact counts.", lower=0),
        _share("net_coverage", "Counted nets within the classified trades' 90 % interval."),
        Column("labelled_prints", pa.int64(), "1", "Whose side the venue tells, hidden.", lower=0),
        _share("sign_accuracy", "Of them, sides that the rules told right."),
        _share("sign_brier", "Mean squared error of the sides' odds; 0.25: a coin."),
        _share("sign_ece", "Expected calibration error of the odds, 10 bins."),
        Column("truth_contracts", pa.int64(), "1", "Whose true position is known.", lower=0),
        _share("truth_coverage", "True positions within the 90 % interval."),
        _error("truth_error_contracts", "Root mean square error of the positions."),
        _error("naive_error_contracts", "The same of the naive rule."),
        _error("shrunk_naive_error_contracts", "The same of 0.4 times the naive rule."),
        Column("sessions_before", pa.int32(), "sessions", "Earlier scores compared with.", lower=0),
        _share("usual_skill", "Their median of `change_skill`.", lower=None),
        _share("usual_change_coverage", "Their median of `change_coverage`."),
        _share("usual_ece", "Their median of `sign_ece`."),
    ),
)
