"""Tables of interest rates."""

from __future__ import annotations

import pyarrow as pa

from dealer_assets.tables.base import ID, Column, Table

TREASURY_CURVE = Table(
    name="treasury_curve",
    doc="US Treasury par yields of a day and the zero rates they imply; underlying is USD.",
    grain="curve date x tenor",
    key=("event_at", "tenor_years"),
    part="session",
    columns=(
        *ID,
        Column("tenor_years", pa.float64(), "years", "Constant maturity.", lower=1e-9),
        Column("par_yield", pa.float64(), "1/year", "Par yield as published, decimal."),
        Column("zero_rate", pa.float64(), "1/year", "Zero rate, continuously compounded."),
        Column("source_name", pa.string(), "-", "File or request it came from."),
    ),
)
