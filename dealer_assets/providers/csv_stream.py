"""CSV files larger than the memory, as batches of columns.

Belongs here: a header, chosen columns, batches in file order, defects named by column and line.
Does not belong here: any vendor's column names, or files that are read whole (`csv_fields`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from dealer_assets.providers.archives import Bytes
from dealer_assets.providers.csv_fields import refuse

_HEADER_BYTES = 64 * 1024
_COLUMN_NUMBER = re.compile(r"In CSV column #(\d+): ")


class _FromStart:
    """A stream whose first bytes were read already, and are read again."""

    def __init__(self, start: bytes, rest: Bytes) -> None:
        self._start, self._rest = start, rest
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        if self._start:
            cut = len(self._start) if size < 0 else size
            content, self._start = self._start[:cut], self._start[cut:]
            return content
        return self._rest.read(size)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


class CsvStream:
    """A CSV file with one header line, read once from its start.

    Parameters
    ----------
    stream : Bytes
        UTF-8 text, with or without byte-order mark.
    name : str
        File name, for messages.

    Raises
    ------
    BadInputError
        When there is no header line within 64 KiB.
    """

    def __init__(self, stream: Bytes, name: str) -> None:
        self.name = name
        start = _read_some(stream, _HEADER_BYTES)
        line, newline, _ = start.partition(b"\n")
        if not newline:
            refuse(name, "expected CSV text with a header line and rows, found neither")
        text = line.decode("utf-8-sig", "replace")
        self.header = [cell.strip().strip('"').strip() for cell in text.split(",")]
        """Column names in the order of the file."""
        self._stream = _FromStart(start, stream)

    def batches(
        self, *, texts: Sequence[str], numbers: Sequence[str] = (), block_bytes: int
    ) -> Iterator[pa.Table]:
        """Yield chosen columns, batch by batch.

        Parameters
        ----------
        texts : sequence of str
            Columns wanted as text; an empty cell is the empty text.
        numbers : sequence of str
            Columns wanted as float64; an empty cell is NaN.
        block_bytes : int
            Bytes of text per batch.

        Yields
        ------
        pyarrow.Table
            The columns, and ``row_number``: the 1-based line, if no cell holds a line break.

        Raises
        ------
        BadInputError
            When a column is missing, a row is longer or shorter than the header (the mark of a
            cut-off file), or a cell is no number.
        """
        types: Mapping[str, pa.DataType] = {
            **dict.fromkeys(texts, pa.string()),
            **dict.fromkeys(numbers, pa.float64()),
        }
        for column in types:
            if column not in self.header:
                found = ", ".join(self.header[:30])
                refuse(self.name, f"expected the column {column!r}, found {found!r:.400}")
        first = 2
        try:
            with self._open(types, block_bytes) as reader:
                for batch in reader:
                    if batch.num_rows:
                        yield _numbered(batch, first, numbers)
                    first += batch.num_rows
        except pa.ArrowInvalid as error:
            refuse(self.name, f"expected CSV rows as the header says, found {self._words(error)}")

    def _open(
        self, types: Mapping[str, pa.DataType], block_bytes: int
    ) -> pa_csv.CSVStreamingReader:
        return pa_csv.open_csv(
            pa.PythonFile(self._stream, mode="r"),
            read_options=pa_csv.ReadOptions(
                block_size=block_bytes, use_threads=False, column_names=self.header, skip_rows=1
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[""]
            ),
        )

    def _words(self, error: pa.ArrowInvalid) -> str:
        def named(match: re.Match[str]) -> str:
            return f"in column {self.header[int(match[1])]!r}: "

        return _COLUMN_NUMBER.sub(named, str(error).partition("\n")[0])[:300]


def _read_some(stream: Bytes, size: int) -> bytes:
    """Read up to `size` bytes, however little the stream gives at once."""
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _numbered(batch: pa.RecordBatch, first: int, numbers: Sequence[str]) -> pa.Table:
    """Return a batch with its lines, and NaN for missing numbers."""
    lines = pa.array(np.arange(first, first + batch.num_rows, dtype=np.int64))
    rows = pa.Table.from_batches([batch]).append_column("row_number", lines)
    for column in numbers:
        if rows[column].null_count:
            place = rows.column_names.index(column)
            filled = rows[column].fill_null(float("nan"))
            rows = rows.set_column(place, column, filled)
    return rows
