"""Pages: bodies to arrow rows, and from page to page until the last.

Belongs here: the envelope every listing comes in, following it, what is kept of it. Does not belong
here: the fields of rows (each kind's module), one request (`client`).

A page is read by arrow's own JSON reader, straight into columns: 120 pages of a chain take 0.3 s
and no Python object per row, and other threads run meanwhile. It is strict about types, so a page
that it refuses is read again row by row, and only the rows that cannot be read are marked.

The official client ends a listing silently at a page without ``results`` or one that is cut off;
here that is an error, because a piece of a chain must not look like a chain.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, overload
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.json as pj
from numpy.typing import NDArray

from dealer_assets.errors import GarbledAnswerError, ProviderError
from dealer_assets.providers.base import Keep, KeepNothing
from dealer_assets.providers.csv_fields import RAW_TEXT_LENGTH
from dealer_assets.providers.polygon.client import VENDOR, Ask, Follow, PolygonClient, said

_MOST_PAGES = 10_000


@dataclass(frozen=True)
class Page:
    """One page of a listing.

    Parameters
    ----------
    rows : pyarrow.StructArray, length n
        Of the row type asked for; fields that are absent or null are null.
    damaged : bool array, shape (n,)
        True where the row is no object or holds a value of another type, which is null then.
    body : bytes
        As received.
    following : str or None
        Path and query of the next page.
    """

    rows: pa.StructArray
    damaged: NDArray[np.bool_]
    body: bytes
    following: str | None


@dataclass(frozen=True)
class Listing:
    """The pages of one question, to the last or to the one that failed.

    Parameters
    ----------
    pages : tuple of Page
        In order.
    failure : ProviderError or None
        Why it is not whole.
    """

    pages: tuple[Page, ...]
    failure: ProviderError | None = None


def read_page(
    body: bytes, row_type: pa.StructType, *, what: str, count_field: str | None = None
) -> Page:
    """Read one page.

    Parameters
    ----------
    body : bytes
        As received.
    row_type : pyarrow.StructType
        The fields wanted; others are passed over.
    what : str
        The question in words, for messages.
    count_field : str, optional
        Field of the envelope that says 0 when there is nothing: ``results`` may then be absent.

    Raises
    ------
    GarbledAnswerError
        When the body is no such envelope, or is cut off.
    """
    try:
        rows, following = _read_at_once(body, row_type)
        damaged = np.zeros(len(rows), np.bool_)
    except (pa.ArrowException, UnicodeDecodeError):
        rows, damaged, following = _read_slowly(body, row_type, what, count_field)
    return Page(rows, damaged, body, _path_of(following, what))


def _read_at_once(body: bytes, row_type: pa.StructType) -> tuple[pa.StructArray, str | None]:
    if not body.isascii():
        body.decode()  # arrow does not look whether text is UTF-8
    envelope = pa.schema([("results", pa.list_(row_type)), ("next_url", pa.string())])
    table = pj.read_json(
        io.BytesIO(body),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pj.ParseOptions(
            explicit_schema=envelope,
            newlines_in_values=True,
            unexpected_field_behavior="ignore",
        ),
    )
    results = table["results"].combine_chunks()
    if table.num_rows != 1 or results.null_count:
        raise pa.ArrowInvalid("no envelope with results")
    rows = results.flatten()
    if rows.null_count:
        raise pa.ArrowInvalid("a row is null")
    return rows, table["next_url"][0].as_py()


def _read_slowly(
    body: bytes, row_type: pa.StructType, what: str, count_field: str | None
) -> tuple[pa.StructArray, NDArray[np.bool_], str | None]:
    try:
        top = json.loads(body)
    except (ValueError, RecursionError) as error:
        start = body.lstrip()[:1]
        found = "a web page" if start == b"<" else f"broken or cut-off JSON ({error})"
        _garbled(what, found if start else "an empty body")
    if not isinstance(top, dict):
        _garbled(what, f"a JSON {type(top).__name__} without an envelope")
    results = top.get("results")
    if results is None and count_field is not None and top.get(count_field) == 0:
        results = []
    if not isinstance(results, list):
        words = said(body)
        _garbled(what, "an answer without results" + (f" ({words[:200]})" if words else ""))
    read = [_readable_part(row, row_type) for row in results]
    damaged = np.array([is_damaged for _, is_damaged in read], np.bool_)
    following = top.get("next_url")
    if following is not None and not isinstance(following, str):
        _garbled(what, f"a next_url that is no text ({type(following).__name__})")
    return pa.array([row for row, _ in read], row_type), damaged, following


def _readable_part(row: object, row_type: pa.StructType) -> tuple[dict[str, Any], bool]:
    """Return the fields of a row that can be read, its name among them, and whether any cannot."""
    if not isinstance(row, dict):
        return {}, True
    if _is_readable(row, row_type):
        return row, False
    return {k: v for k, v in row.items() if _is_readable({k: v}, row_type)}, True


def _is_readable(row: dict[str, Any], row_type: pa.StructType) -> bool:
    try:
        pa.array([row], row_type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return False
    return True


def _garbled(what: str, found: str) -> NoReturn:
    raise GarbledAnswerError(
        f"{VENDOR} answered {what} with {found}: expected a JSON object with results; "
        "try again later"
    )


def _path_of(following: str | None, what: str) -> str | None:
    """Return path and query of the next page; the host is ours, and no key is ever in a URL."""
    if not following:
        return None
    parts = urlsplit(following)
    if not parts.path.startswith("/"):
        _garbled(what, "a next_url without a path")
    if "apikey=" not in parts.query.lower():
        return f"{parts.path}?{parts.query}" if parts.query else parts.path
    kept = [(k, v) for k, v in parse_qsl(parts.query) if k.lower() != "apikey"]
    return f"{parts.path}?{urlencode(kept)}"


def fetch_listing(
    client: PolygonClient,
    question: Ask,
    row_type: pa.StructType,
    *,
    count_field: str | None = None,
    keep: Keep | None = None,
    piece: str = "",
    is_final: bool = False,
) -> Listing:
    """Fetch page after page until the last, or until one fails for good.

    Parameters
    ----------
    client : PolygonClient
        Whom to ask.
    question : Ask
        Its first page.
    row_type : pyarrow.StructType
        The fields wanted.
    count_field : str, optional
        See `read_page`.
    keep : Keep, optional
        Where pages are kept, under ``<piece>-<number>``; a page that is held is not asked for.
    piece : str
        First part of that name.
    is_final : bool
        Nothing will be added any more. While it may, the last page is not kept: another day it
        would be longer.

    Returns
    -------
    Listing
        With the pages so far when one failed.

    Raises
    ------
    NotEntitledError
        When the first page is refused: no page of a plan's data is worth a second try.
    """
    held = keep if keep is not None else KeepNothing()
    pages: list[Page] = []
    step: Ask | Follow | None = question
    seen: set[str] = set()
    while step is not None and len(pages) < _MOST_PAGES:
        name = f"{piece}-{len(pages):04d}"
        page = _held_page(held, name, row_type, question.what, count_field)
        try:
            if page is None:
                page = client.ask(
                    step,
                    lambda body: read_page(
                        body, row_type, what=question.what, count_field=count_field
                    ),
                )
                if is_final or page.following is not None:
                    held.put(name, page.body)
            if page.following in seen:
                _garbled(question.what, "a page that leads back to an earlier one")
        except ProviderError as error:
            if not pages:
                raise
            return Listing(tuple(pages), error)
        pages.append(page)
        step = None if page.following is None else Follow(question.what, page.following)
        seen.add(page.following or "")
    return Listing(tuple(pages))


def _held_page(
    held: Keep, name: str, row_type: pa.StructType, what: str, count_field: str | None
) -> Page | None:
    body = held.get(name)
    if body is None:
        return None
    try:
        return read_page(body, row_type, what=what, count_field=count_field)
    except GarbledAnswerError:
        return None  # damaged on disk: fetched again


class PageTexts(Sequence[str]):
    """Rows of pages as text, decoded only when asked for: quarantines need a few of thousands.

    Parameters
    ----------
    pages : sequence of Page
        In order.
    """

    def __init__(self, pages: Sequence[Page]) -> None:
        self._pages = pages
        self._ends = np.cumsum([len(page.rows) for page in pages])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        at = int(np.searchsorted(self._ends, index, side="right"))
        page = self._pages[at]
        row = json.loads(page.body)["results"][index - (int(self._ends[at]) - len(page.rows))]
        return json.dumps(row)[:RAW_TEXT_LENGTH]
