"""Several position models of one snapshot side by side: which there are, and what each tells.

Belongs here: choosing models by name, finding each model's positions of a snapshot's contracts, why
a model tells none. Does not belong here: the models themselves (`domain.positions`), Greeks or
dollars (`aggregate`). Definitions: `docs/methods/exposure.md`.

A model either declares positions from open interest alone or reads those settled for the session.
The two are never mixed: a contract that was not settled has no position under such a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dealer_assets.domain.columns import Floats, equals, floats
from dealer_assets.domain.exposure.position_error import PositionError
from dealer_assets.domain.positions.models import (
    MODELS,
    OF_OPEN_INTEREST,
    Holdings,
    position_model,
)
from dealer_assets.errors import BadInputError

ALL = "all"
"""Names every model there is."""


@dataclass(frozen=True)
class Told:
    """Dealers' positions of one snapshot's contracts by one model; arrays of shape (n,).

    Parameters
    ----------
    model : str
        Which.
    contracts : float64 array
        > 0 long; NaN where the model tells none.
    sd : float64 array
        Standard deviation; 0 where declared or exact; NaN where the model tells none.
    error : PositionError
        The same, split into what contracts have alone and in common.
    known_at : datetime.datetime or None
        Instant from which the settled positions could be known; None for a model that needs none.
    unpositioned_share : float
        Share of the snapshot's open interest without a position; NaN without open interest.
    """

    model: str
    contracts: Floats
    sd: Floats
    error: PositionError
    known_at: datetime | None
    unpositioned_share: float


def chosen_models(headline: str, others: str = "") -> tuple[str, ...]:
    """Read the names of models from configuration or a command line.

    Parameters
    ----------
    headline : str
        The first, or several separated by commas.
    others : str
        More of them; ``all`` means every model there is.

    Returns
    -------
    tuple of str
        Each once, in the order given.

    Raises
    ------
    BadInputError
        When a name is not that of a model, or there is none.
    """
    named = [name.strip() for name in f"{headline},{others}".split(",") if name.strip()]
    if not named:
        raise BadInputError(f"expected a position model, one of {sorted(MODELS)}, found none")
    wanted = [model for name in named for model in (MODELS if name == ALL else (name,))]
    for name in wanted:
        position_model(name)
    return tuple(dict.fromkeys(wanted))


def reads_settled(models: Sequence[str]) -> bool:
    """Tell whether any of the models reads settled positions."""
    return any(model not in OF_OPEN_INTEREST for model in models)


def told_by(model: str, priced: pa.Table, settled: pa.Table | None = None) -> Told | None:
    """Find one model's positions of a snapshot's contracts.

    Parameters
    ----------
    model : str
        Name of a position model.
    priced : pyarrow.Table, shape (n,)
        One snapshot, `tables.CONTRACT_GREEKS` schema, not empty.
    settled : pyarrow.Table, optional
        Positions its session opened with, `tables.DEALER_POSITIONS` schema, of any models.

    Returns
    -------
    Told or None
        None when the model reads settled positions and there are none of it.

    Raises
    ------
    BadInputError
        When the model is unknown, or the positions are of another session.
    """
    rule = position_model(model)
    if model in OF_OPEN_INTEREST:
        open_interest = floats(priced, "open_interest_contracts")
        declared = rule(Holdings(equals(priced, "right", "call"), open_interest))
        return told_as(model, priced, declared.contracts, declared.sd)
    own = None if settled is None else settled.filter(pc.equal(settled["model"], model))
    if own is None or own.num_rows == 0:
        return None
    days = {str(priced["session_date"][0])} | {str(d) for d in pc.unique(own["session_date"])}
    if len(days) > 1:
        raise BadInputError(
            f"expected positions settled for the snapshot's own session, found sessions "
            f"{', '.join(sorted(days))}: settled and live positions are never mixed"
        )
    place = pc.index_in(priced["symbol"].combine_chunks(), own["symbol"].combine_chunks())
    return told_as(
        model,
        priced,
        _at(floats(own, "position_contracts"), place),
        _at(floats(own, "position_sd_contracts"), place),
        error=_error(own, place),
        known_at=pc.max(own["known_at"]).as_py(),
    )


def _error(own: pa.Table, place: pa.Array) -> PositionError:
    """Split the settled deviations: the part of a contract's kind, and its own.

    The kind's part has the share of the variance that it has before open interest bounds it.
    """
    sd = np.nan_to_num(floats(own, "position_sd_contracts"))
    kind_sd = floats(own, "kind_loading_contracts") * floats(own, "kind_share_sd")
    kind_sd = np.nan_to_num(kind_sd)
    whole = np.hypot(kind_sd, np.nan_to_num(floats(own, "filter_sd_contracts")))
    part = np.divide(kind_sd, whole, out=np.zeros(sd.size), where=whole > 0.0)
    kinds = pc.fill_null(own["kind"], "").combine_chunks().dictionary_encode()
    number = np.append(kinds.indices.to_numpy().astype(np.int64), 0)
    return PositionError(
        own=np.nan_to_num(_at(sd * np.sqrt(1.0 - part**2), place)),
        common=np.nan_to_num(_at(sd * part, place)),
        group=number[pc.fill_null(place, sd.size).to_numpy()],
    )


def told_as(
    model: str,
    priced: pa.Table,
    contracts: Floats,
    sd: Floats | None = None,
    *,
    error: PositionError | None = None,
    known_at: datetime | None = None,
) -> Told:
    """Say positions that come from anywhere; parameters as the fields of `Told`."""
    size = np.nan_to_num(floats(priced, "open_interest_contracts"))
    total = float(size.sum())
    without = float(size[~np.isfinite(contracts)].sum()) / total if total > 0.0 else float("nan")
    own = np.full(contracts.size, np.nan) if sd is None else sd
    alone = PositionError(np.nan_to_num(own), np.zeros(own.size), np.zeros(own.size, np.int64))
    return Told(model, contracts, own, error or alone, known_at, without)


def left_out(models: Sequence[str], settled: pa.Table | None = None) -> dict[str, str]:
    """Say why models tell nothing of a session's snapshots, each that does not.

    Parameters
    ----------
    models : sequence of str
        Those asked for.
    settled : pyarrow.Table, optional
        Positions the session opened with, `tables.DEALER_POSITIONS` schema.
    """
    held = set() if settled is None else set(pc.unique(settled["model"]).to_pylist())
    return {
        model: "it reads settled positions (dealer_positions), and none of it are at hand"
        for model in models
        if model not in OF_OPEN_INTEREST and model not in held
    }


def side_by_side(models: Sequence[str], derive: Callable[[str], pa.Table]) -> pa.Table:
    """Put the rows of several models into one table, sorted by model.

    Parameters
    ----------
    models : sequence of str
        At least one.
    derive : callable
        Model to its rows of one snapshot, which may be none.
    """
    return pa.concat_tables([derive(model) for model in sorted(set(models))])


def _at(values: Floats, place: pa.Array) -> Floats:
    """Values at each contract's place among the settled, NaN for one that is not there."""
    known = np.append(values, np.nan)
    return np.asarray(known[pc.fill_null(place, values.size).to_numpy()])
