"""The lines above a Cboe "quotedata" table: name, spot and download date in any locale.

Belongs here: reading those lines. Does not belong here: the table (`cboe_csv`), what the date
means (`dating`).

The browser writes the date in its own language, and people retype it::

    "Date: February 7, 2023 at 5:34 PM EST",Bid: 4099.96,...
    Date: 11 April, 2023 à 22:23 UTC−4,Bid: 409.9,...
    "Date: 23 de marzo de 2022, 10:11 GMT-4",Bid: 4477.1001,...
    Date: 4 June 4, 3:15 PM EDT,Bid: 427.96,...              (no year: unreadable)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from dealer_assets.domain.sessions import NEW_YORK

_MONTH_WORDS = (
    "january jan janvier janv enero ene januar gennaio gen janeiro januari января янв",
    "february feb fevrier fevr febrero februar febbraio fevereiro fev februari февраля фев",
    "march mar mars marzo marz maart marco марта март мар",
    "april apr avril avr abril abr aprile апреля апр",
    "may mai mayo maggio mag maio mei мая май",
    "june jun juin junio juni giugno giu junho июня июн",
    "july jul juillet juil julio juli luglio lug julho июля июл",
    "august aug aout agosto ago augustus августа авг",
    "september sep sept septembre septiembre setiembre settembre setembro set сентября сент сен",
    "october oct octobre octubre oktober okt ottobre ott outubro out октября окт",
    "november nov novembre noviembre novembro ноября нояб ноя",
    "december dec decembre diciembre dic dezember dez dicembre dezembro декабря дек",
)
_ZONE_HOURS = {"utc": 0, "gmt": 0, "z": 0, "bst": 1, "cet": 1, "cest": 2, "msk": 3}
_ZONE_HOURS |= {"est": -5, "edt": -4, "cst": -6, "cdt": -5}
_ZONE_HOURS |= {"mst": -7, "mdt": -6, "pst": -8, "pdt": -7}
_CLOCK = re.compile(r"(?<!\d)(\d{1,2})[:h](\d{2})(?::(\d{2}))?(?!\d)\s*([ap])?(?(4)\.?\s?m\b\.?)")
_ZONE = re.compile(r"\s*([a-z]{1,4})?(?:\s?([+-]\d{1,2})(?::?(\d{2}))?)?(?![\da-z])")
_ISO = re.compile(r"(?<!\d)(20\d{2})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_YEAR = re.compile(r"(?<!\d)(20\d{2})(?!\d)")
_NUMBER = re.compile(r"(?<!\d)(\d{1,2})(?!\d)")
_WORD = re.compile(r"[^\W\d_]+")
_SPOT = re.compile(r"Last:\s*([0-9][0-9.,]*)")
_DATE_LINE = re.compile(r"Date:\s*(.*?)\s*\"?\s*(?:,\s*Bid:.*)?,*\s*$")


def _fold(text: str) -> str:
    """Lower case without accents, with plain minus signs and spaces."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return plain.replace("\u2212", "-").replace("\u2013", "-")


_MONTHS = {
    _fold(word): month
    for month, words in enumerate(_MONTH_WORDS, start=1)
    for word in words.split()
}


@dataclass(frozen=True)
class CboeHeader:
    """What the lines above the table say.

    Parameters
    ----------
    name : str or None
        Name of the underlying as printed.
    spot : float or None
        The ``Last:`` value.
    downloaded_at : datetime.datetime or None
        UTC instant of the download.
    notes : tuple of (str, str)
        Findings: (code, text).
    """

    name: str | None = None
    spot: float | None = None
    downloaded_at: datetime | None = None
    notes: tuple[tuple[str, str], ...] = ()


def read_header(lines: Sequence[str]) -> CboeHeader:
    """Read the lines above the table.

    Parameters
    ----------
    lines : sequence of str
        In file order, possibly none; quotes may be stray and commas trailing, so they are not read
        as CSV.

    Returns
    -------
    CboeHeader
        A line that is not understood is noted as ``unexpected_header_line``.
    """
    name, spot, downloaded_at = None, None, None
    notes: list[tuple[str, str]] = []
    for line in (line for line in lines if line.strip(' ,"\t')):
        if "Last:" in line:
            name = line.split("Last:")[0].strip(' ,"') or None
            spot = _read_spot(line)
        elif found := _DATE_LINE.search(line):
            downloaded_at, doubt = _read_date(found[1].strip(' ",'))
            notes += doubt
        else:
            text = f"a line above the table is neither name nor date: {line.strip()[:80]!r}"
            notes.append(("unexpected_header_line", text))
    return CboeHeader(name, spot, downloaded_at, tuple(notes))


def _read_spot(line: str) -> float | None:
    match = _SPOT.search(line)
    if match is None:
        return None
    digits = match[1].rstrip(".,")
    # A comma before exactly three digits groups thousands; the field separator ends the number.
    if not re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", digits):
        digits = digits.split(",")[0]
    try:
        return float(digits.replace(",", ""))
    except ValueError:
        return None


def _read_date(text: str) -> tuple[datetime | None, list[tuple[str, str]]]:
    instant = read_header_instant(text)
    if instant is None:
        doubt = f"expected day, month, year and time of day in the header's date, found {text!r}"
        return None, [("header_date_unreadable", doubt)]
    if instant.tzinfo is None:
        doubt = f"the header's date {text!r} names no known time zone: taken as New York time"
        instant = instant.replace(tzinfo=NEW_YORK)
        return instant.astimezone(UTC), [("header_timezone_assumed", doubt)]
    return instant.astimezone(UTC), []


def read_header_instant(text: str) -> datetime | None:
    """Read a date and time in any of the locales browsers write.

    Parameters
    ----------
    text : str
        Without the ``Date:`` label.

    Returns
    -------
    datetime.datetime or None
        Aware in the zone printed; naive when none, or an unknown one, is printed; None when day,
        month, year or time of day is missing, ambiguous or impossible.
    """
    plain = _fold(text)
    clock = _CLOCK.search(plain)
    if clock is None:
        return None
    zone, end = _read_zone(plain, clock.end())
    day = _read_day(f"{plain[: clock.start()]} {plain[end:]}")
    hour = _read_hour(int(clock[1]), clock[4])
    if day is None or hour is None:
        return None
    try:
        return datetime(
            *day,
            hour,
            int(clock[2]),
            int(clock[3] or 0),
            tzinfo=zone,
        )
    except ValueError:
        return None


def _read_hour(hour: int, half: str | None) -> int | None:
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        return None
    return hour % 12 + (12 if half == "p" else 0)


def _read_zone(text: str, start: int) -> tuple[tzinfo | None, int]:
    """Return the zone printed at a place and where it ends; no zone, not a guess, for others."""
    match = _ZONE.match(text, start)
    if match is None or (match[1] not in _ZONE_HOURS and (match[1] or not match[2])):
        return None, start
    hours = int(match[2] or 0)
    minutes = int(match[3] or 0) * (-1 if (match[2] or "").startswith("-") else 1)
    offset = timedelta(hours=_ZONE_HOURS.get(match[1], 0) + hours, minutes=minutes)
    if abs(offset) >= timedelta(hours=24):
        return None, start
    return timezone(offset), match.end()


def _read_day(text: str) -> tuple[int, int, int] | None:
    """Return (year, month, day) from text without clock and zone; None unless it is one date."""
    if iso := _ISO.search(text):
        return int(iso[1]), int(iso[2]), int(iso[3])
    years = set(_YEAR.findall(text))
    if len(years) != 1:
        return None
    year = years.pop()
    months = {_MONTHS[word] for word in _WORD.findall(text) if word in _MONTHS}
    numbers = [int(number) for number in _NUMBER.findall(text)]
    if len(months) == 1 and len(numbers) == 1:
        return int(year), months.pop(), numbers[0]
    if months or len(numbers) != 2:
        return None
    first, second = numbers
    if first > 12 or first == second:
        return int(year), second, first
    return (int(year), first, second) if second > 12 else None
