"""`optimized-tsp report NAME`: a reporting view, read from the database."""

from __future__ import annotations

import asyncio
import csv
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

import asyncpg
import orjson
from rich.cells import cell_len

from optimized_tsp.cli.address import find_reporting_url
from optimized_tsp.cli.exit_codes import CommandError, ExitCode, complain
from optimized_tsp.cli.formats import ReportFormat
from optimized_tsp.cli.tables import Column, lay_out, printable, terminal_width

__all__ = ["run_report"]

_CONNECT_TIMEOUT_S = 10.0
_FETCHED_AT_ONCE = 500
_VIEWS = """
    SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'reporting' AND relkind IN ('v', 'm') ORDER BY relname
"""


def run_report(name: str, *, form: ReportFormat, limit: int | None) -> ExitCode:
    """Print the rows of `reporting.NAME`; `limit` None prints all."""
    url = find_reporting_url()
    try:
        is_cut = asyncio.run(_report(url, name.removeprefix("reporting."), form, limit))
    except BrokenPipeError:
        raise  # it was our reader that left, not the database
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise CommandError(f"the database does not do it: {reason}", ExitCode.UNREACHABLE) from None
    if is_cut:
        complain(f"there are more than {limit} rows; see them with --limit N or --all")
    return ExitCode.OK


async def _report(url: str, name: str, form: ReportFormat, limit: int | None) -> bool:
    """Print; returns whether there are more rows than `limit`."""
    connection = await asyncpg.connect(url, timeout=_CONNECT_TIMEOUT_S)
    try:
        for json_type in ("json", "jsonb"):
            await connection.set_type_codec(
                json_type, schema="pg_catalog", encoder=str, decoder=orjson.loads
            )
        async with connection.transaction(readonly=True):
            statement = await connection.prepare(await _query(connection, name))
            printer = _PRINTERS[form]([column.name for column in statement.get_attributes()])
            rows = 0
            async for record in statement.cursor(prefetch=_FETCHED_AT_ONCE):
                if rows == limit:
                    break
                printer.add(list(record))
                rows += 1
            else:
                limit = None
            printer.close()
            return limit is not None
    finally:
        await connection.close()


async def _query(connection: asyncpg.Connection, name: str) -> str:
    views = [row["relname"] for row in await connection.fetch(_VIEWS)]
    if name not in views:
        known = ", ".join(views) or "none; has the database been migrated?"
        raise CommandError(f"there is no report {name!r}; there are: {known}", ExitCode.USAGE)
    quoted = name.replace('"', '""')
    return f'SELECT * FROM reporting."{quoted}"'  # noqa: S608 - one of the names it has


class _Printer(Protocol):
    """Prints rows in one format; `close` is called once, in the end."""

    def __init__(self, columns: list[str]) -> None: ...
    def add(self, row: list[Any]) -> None: ...
    def close(self) -> None: ...


class _JsonPrinter:
    """One array of objects."""

    def __init__(self, columns: list[str]) -> None:
        self._columns = columns
        self._before = "["

    def add(self, row: list[Any]) -> None:
        sys.stdout.write(self._before + _json(dict(zip(self._columns, row, strict=True))))
        self._before = ",\n"

    def close(self) -> None:
        sys.stdout.write("[]\n" if self._before == "[" else "]\n")


class _CsvPrinter:
    """RFC 4180 with a heading; nothing where there is no value, JSON where there are several."""

    def __init__(self, columns: list[str]) -> None:
        self._writer = csv.writer(sys.stdout)
        self._writer.writerow(columns)

    def add(self, row: list[Any]) -> None:
        self._writer.writerow(map(_text, row))

    def close(self) -> None:
        """Every line is out already."""


class _TablePrinter:
    """A table, or a line per value where the terminal is too narrow for it."""

    def __init__(self, columns: list[str]) -> None:
        self._columns = columns
        self._rows: list[list[str]] = []
        self._right = [False] * len(columns)

    def add(self, row: list[Any]) -> None:
        self._rows.append([_short(value) for value in row])
        self._right = [
            right or isinstance(value, int | float | Decimal)
            for right, value in zip(self._right, row, strict=True)
        ]

    def close(self) -> None:
        columns = [
            Column(name, right=right)
            for name, right in zip(self._columns, self._right, strict=True)
        ]
        lines = lay_out(columns, self._rows, None)
        width = terminal_width()
        if width is not None and max(map(cell_len, lines)) > width:
            lines = list(self._one_value_a_line())
        sys.stdout.write("\n".join(lines) + "\n")

    def _one_value_a_line(self) -> Iterator[str]:
        width = max(map(len, self._columns))
        for number, row in enumerate(self._rows, 1):
            yield f"--- row {number}"
            for name, value in zip(self._columns, row, strict=True):
                yield f"{name:<{width}}  {printable(value)}".rstrip()


_PRINTERS: dict[ReportFormat, type[_Printer]] = {
    ReportFormat.TABLE: _TablePrinter,
    ReportFormat.CSV: _CsvPrinter,
    ReportFormat.JSON: _JsonPrinter,
}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value).strip('"')


def _short(value: Any) -> str:
    """For people: no more digits than a microsecond has."""
    return _text(round(value, 6) if isinstance(value, float) else value)


def _json(value: Any) -> str:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z).decode()


def _plain(value: Any) -> int | float | str:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
