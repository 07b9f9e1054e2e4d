"""Reading JSON payloads into columns: shared by the formats that arrive as JSON.

Belongs here: objects, rows and typed columns, each defect named by field. Does not belong here: any
vendor's field names (one module per format), or judging rows (`assembly`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from dealer_assets.providers.csv_fields import LARGEST_NUMBER, RAW_TEXT_LENGTH, refuse

_NUMBER_TYPES = frozenset({float, int, type(None)})


class RowTexts(Sequence[str]):
    """JSON rows as text, written only when asked for: writing 30,000 rows costs more than parsing.

    Parameters
    ----------
    rows : sequence of mapping
        Decoded rows.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return RowTexts(self._rows[index])
        return json.dumps(self._rows[index])[:RAW_TEXT_LENGTH]


def read_object(payload: bytes, name: str) -> dict[str, Any]:
    """Decode a JSON object; NaN and Infinity, which are no JSON, count as null.

    Raises
    ------
    BadInputError
        When the payload is empty, HTML, cut off, or no object.
    """
    start = payload[:64].lstrip()
    if not start:
        refuse(name, "expected a JSON object, found an empty payload")
    if start.startswith(b"<"):
        refuse(name, "expected a JSON object, found HTML or XML (an error page?)")
    try:
        found = json.loads(payload, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        refuse(name, f"expected a JSON object, found broken or cut-off JSON ({error})")
    if not isinstance(found, dict):
        refuse(name, f"expected a JSON object, found {type(found).__name__}")
    return found


def read_field(holder: Mapping[str, Any], field: str, kind: type, *, name: str) -> Any:
    """Return a required field of the given JSON type.

    Raises
    ------
    BadInputError
        When the field is missing or of another type; the message names both.
    """
    if field not in holder:
        refuse(name, f"expected the field {field!r}, found only {', '.join(sorted(holder)[:12])}")
    value = holder[field]
    if not isinstance(value, kind):
        refuse(name, f"expected {kind.__name__} in field {field!r}, found {type(value).__name__}")
    return value


def read_rows(holder: Mapping[str, Any], field: str, *, name: str) -> list[dict[str, Any]]:
    """Return a required, non-empty list of objects.

    Raises
    ------
    BadInputError
        When it is missing, empty, no list, or holds anything but objects.
    """
    rows: list[dict[str, Any]] = read_field(holder, field, list, name=name)
    if not rows:
        refuse(name, f"expected option rows in field {field!r}, found none")
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            refuse(name, f"expected an object in {field}[{position}], found {type(row).__name__}")
    return rows


def number_column(
    rows: Sequence[Mapping[str, Any]], field: str, *, name: str, required: bool = False
) -> NDArray[np.float64]:
    """Return one numeric field of all rows.

    Returns
    -------
    float64 array, shape (n,)
        NaN where the field is null, or absent and not required.

    Raises
    ------
    BadInputError
        When a required field is absent in a row, or a value is no number.
    """
    values = _values(rows, field, name=name, required=required)
    if not set(map(type, values)) <= _NUMBER_TYPES:
        position, value = next((i, v) for i, v in enumerate(values) if type(v) not in _NUMBER_TYPES)
        refuse(name, f"expected a number in field {field!r} of row {position + 1}, found {value!r}")
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:  # an integer of hundreds of digits
        numbers = np.array([np.inf])
    if (np.abs(numbers) > LARGEST_NUMBER).any():
        refuse(
            name,
            f"expected numbers up to {LARGEST_NUMBER:g} in field {field!r}, found a larger one",
        )
    return numbers


def text_column(rows: Sequence[Mapping[str, Any]], field: str, *, name: str) -> list[str]:
    """Return one required text field of all rows, pure ASCII; null is blank.

    Raises
    ------
    BadInputError
        When the field is absent in a row, or a value is no text.
    """
    values = _values(rows, field, name=name, required=True)
    for position, value in enumerate(values):
        if value is not None and type(value) is not str:
            refuse(name, f"expected text in field {field!r} of row {position + 1}, found {value!r}")
    return [v if v.isascii() else ascii(v) for v in (v or "" for v in values)]


def _values(
    rows: Sequence[Mapping[str, Any]], field: str, *, name: str, required: bool
) -> list[Any]:
    if not required:
        return [row.get(field) for row in rows]
    try:
        return [row[field] for row in rows]
    except KeyError:
        position = next(i for i, row in enumerate(rows) if field not in row)
        refuse(name, f"expected the field {field!r} in every row, row {position + 1} has none")


def positive_number(holder: Mapping[str, Any], field: str, *, name: str) -> float | None:
    """Return one optional number; None when it is null, absent or not above zero.

    Raises
    ------
    BadInputError
        When the value is of another JSON type.
    """
    value = float(number_column([holder], field, name=name)[0])
    return value if value > 0.0 else None
