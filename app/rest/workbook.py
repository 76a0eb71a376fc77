"""Workbook: rows as a file that Excel opens, with real times and real numbers, and texts that are nothing but text.

Invariant: memory does not grow with the rows, and the loop of the worker never waits for more than a few of them. The
file is a zip archive, so it is whole before its first byte can be sent: it takes room on the disk, which is free again
once it is closed, whatever happens. It has no name there that could be left behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import gevent
from sqlalchemy import Boolean, DateTime, Float, Integer, Numeric, Uuid
from sqlalchemy.types import TypeEngine

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

# A sheet has 1 048 576 rows, and the header is one of them.
MOST_ROWS = 1_048_575
# Rows between two turns of the loop: 3 ms.
_AT_ONCE = 25
# A sleep of 0 runs what is ready already, some fifty times before the loop looks at its sockets again: 300 ms.
_TURN_SECONDS = 0.002
# Excel calculates with 15 digits; a longer number would become another one.
_DIGITS = 15
_TIME = "yyyy-mm-dd hh:mm:ss.000"
_FIRST_YEAR = 1900  # Excel knows no time before

Write = Callable[[int, int, str], Any]


def write_workbook(
    file: IO[bytes],
    name: str,
    columns: Mapping[str, TypeEngine[Any]],
    pages: Iterable[Sequence[Sequence[str | None]]],
    about: Mapping[str, str],
) -> None:
    """Write rows on a sheet of this name, and what is to be known about them on a second one.

    ``columns`` are names with types; ``pages`` have the values as PostgreSQL's text, times as in JSON and in UTC. Rows
    beyond ``MOST_ROWS`` are not written.

    Raises:
        OSError: the disk has no room for it.
    """
    from xlsxwriter import Workbook  # here, because a worker that makes none need not know how
    from xlsxwriter.exceptions import FileCreateError

    with TemporaryDirectory(prefix="people-feed-export-") as folder:
        options = {"constant_memory": True, "tmpdir": folder, "strings_to_formulas": False, "strings_to_urls": False}
        book = Workbook(file, {**options, "use_zip64": True, "default_date_format": _TIME})
        try:
            _write_rows(book, name, columns, pages)
            _write_about(book, about)
        finally:
            # In a thread: what takes its time is compression, which does not hold the interpreter.
            try:
                gevent.get_hub().threadpool.apply(book.close)
            except FileCreateError as error:
                raise OSError("the workbook cannot be written") from error


def _write_rows(
    book: Workbook, name: str, columns: Mapping[str, TypeEngine[Any]], pages: Iterable[Sequence[Sequence[str | None]]]
) -> None:
    sheet = book.add_worksheet(name)
    bold = book.add_format({"bold": True})
    writes: list[Write] = []
    for place, (column, kind) in enumerate(columns.items()):
        write, width = _cell(sheet, kind)
        title = f"{column} (UTC)" if isinstance(kind, DateTime) else column
        sheet.set_column(place, place, max(width, len(title) + 3))  # with room for the button of the filter
        sheet.write_string(0, place, title, bold)
        writes.append(write)
    sheet.freeze_panes(1, 0)
    count = 0
    for count, row in enumerate(_rows(pages), start=1):
        for place, value in enumerate(row):
            if value is not None:
                writes[place](count, place, value)
        if count % _AT_ONCE == 0:
            gevent.sleep(_TURN_SECONDS)
        if count == MOST_ROWS:
            break
    sheet.autofilter(0, 0, count, len(columns) - 1)


def _rows(pages: Iterable[Sequence[Sequence[str | None]]]) -> Iterator[Sequence[str | None]]:
    for page in pages:
        yield from page


def _write_about(book: Workbook, about: Mapping[str, str]) -> None:
    sheet = book.add_worksheet("About")
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 60)
    for line, (name, value) in enumerate(about.items()):
        _text(sheet)(line, 0, name)
        _text(sheet)(line, 1, value)


def _cell(sheet: Worksheet, kind: TypeEngine[Any]) -> tuple[Write, int]:
    """What writes a value of a type into a cell, and how many characters wide its column is."""
    if isinstance(kind, DateTime):
        return _time(sheet), 23
    if isinstance(kind, Integer | Float | Numeric):
        return _number(sheet), 10
    if isinstance(kind, Boolean):
        return lambda row, place, value: sheet.write_boolean(row, place, value == "true"), 10
    return _text(sheet), 37 if isinstance(kind, Uuid) else 30


def _text(sheet: Worksheet) -> Write:
    def write(row: int, place: int, value: str) -> None:
        # XlsxWriter would take such a text for markup of its own, and put it into the file as it is.
        if value.startswith("<r>"):
            value = f'<r><t xml:space="preserve">{escape(value)}</t></r>'
        sheet.write_string(row, place, value)

    return write


def _number(sheet: Worksheet) -> Write:
    def write(row: int, place: int, value: str) -> None:
        digits = value.lstrip("-")
        if math.isfinite(float(value)) and not (digits.isdigit() and len(digits) > _DIGITS):
            sheet.write_number(row, place, float(value))
        else:
            sheet.write_string(row, place, value)

    return write


def _time(sheet: Worksheet) -> Write:
    def write(row: int, place: int, value: str) -> None:
        try:
            time = datetime.fromisoformat(value).replace(tzinfo=None)
        except ValueError:  # such as infinity, and years of five digits
            time = datetime.min
        if time.year < _FIRST_YEAR:
            sheet.write_string(row, place, value)
        else:
            sheet.write_datetime(row, place, time)

    return write
