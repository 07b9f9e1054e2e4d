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

REFERENCE_RATES = Table(
    name="reference_rates",
    doc="Published fixings by series: SOFR, EFFR, and FRED's; underlying is USD.",
    grain="series x effective date x provider",
    key=("provider", "series"),
    part="batch",
    columns=(
        *ID,  # session_date and event_at: the date it is effective for; known_at: its publication
        Column("provider", pa.string(), "-", "Provider or file format."),
        Column("source_name", pa.string(), "-", "File name or request, without folder or secret."),
        Column("series", pa.string(), "-", "Name of the series, e.g. SOFR, EFFR, DGS1MO."),
        Column("rate", pa.float64(), "1/year", "Rate as published, decimal, not converted."),
        Column("is_revised", pa.bool_(), "-", "The publisher corrected it later."),
        Column("volume_usd", pa.float64(), "USD", "Volume behind it.", True, lower=0.0),
    ),
)
