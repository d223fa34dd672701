"""CSV text to rows of checked cells. Nothing is guessed: what is not clear is a problem."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from instances.errors import Problem, listing
from instances.schema import LARGEST, SMALLEST_POSITIVE, Column, TableSchema

Cell = str | float | int | bool | None

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_RESERVED = {"road": ">", "station": ":;"}
_LONGEST_ID = 100
MOST_ROWS = 2_000_000


@dataclass
class Row:
    """One row: its line in the file and its cells; a cell that was refused is None and in ``bad``."""

    number: int
    cells: dict[str, Cell]
    raw: dict[str, str]
    bad: set[str] = field(default_factory=set)

    def text(self, column: str) -> str | None:
        value = self.cells.get(column)
        return value if isinstance(value, str) else None

    def value(self, column: str) -> float | None:
        value = self.cells.get(column)
        return value if isinstance(value, float) else None

    def period(self) -> int | None:
        value = self.cells.get("period")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, column: str) -> bool | None:
        value = self.cells.get(column)
        return value if isinstance(value, bool) else None


@dataclass
class Table:
    """A file as read. ``usable``: its rows and ids can be relied on for checks against other files."""

    schema: TableSchema
    present: bool
    usable: bool
    header: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)

    @property
    def file(self) -> str:
        return self.schema.file

    def ids(self, column: str) -> dict[str, Row]:
        """Id -> its first row, in the file's order."""
        known: dict[str, Row] = {}
        for row in self.rows:
            name = row.text(column)
            if name is not None:
                known.setdefault(name, row)
        return known


def read_table(schema: TableSchema, data: bytes | None, problems: list[Problem]) -> Table:
    """Parse one file; what is wrong is appended to ``problems``. ``data`` is None if it is absent."""
    if data is None:
        if not schema.optional:
            header = ",".join(c.name for c in schema.columns)
            problems.append(
                Problem(
                    schema.file, None, None, None, "the file is missing.", f"Add it with the header {header}"
                )
            )
        return Table(schema, present=False, usable=schema.optional)
    text = decode(schema.file, data, problems)
    if text is None:
        return Table(schema, present=True, usable=False)
    found = len(problems)
    lines = list(_lines(schema, text, problems))
    broken = len(problems) > found
    if not lines:
        if len(problems) == found:
            header = ",".join(c.name for c in schema.columns if c.required)
            problems.append(
                Problem(
                    schema.file, None, None, None, "the file is empty.", f"Begin with the header {header}"
                )
            )
        return Table(schema, present=True, usable=False)
    table = Table(schema, present=True, usable=not broken, header=tuple(name.strip() for name in lines[0][1]))
    if not _check_header(table, problems):
        table.usable = False
        return table
    for number, cells in lines[1:]:
        if len(cells) != len(table.header):
            problems.append(
                Problem(
                    schema.file,
                    number,
                    None,
                    None,
                    f"the row has {len(cells)} fields, the header has {len(table.header)}.",
                    "Give one field per column, separated by commas; write decimals with a point.",
                )
            )
            table.usable = False
            continue
        row = _read_row(table, number, cells, problems)
        table.rows.append(row)
        if any(name in row.bad for name in schema.key):
            # the id that another file refers to may be the one that was refused
            table.usable = False
    if not table.rows and not schema.may_be_empty and len(problems) == found:
        problems.append(
            Problem(
                schema.file, None, None, None, "there is no row below the header.", "Add at least one row."
            )
        )
        table.usable = False
    _check_keys(table, problems)
    return table


def decode(file: str, data: bytes, problems: list[Problem]) -> str | None:
    """UTF-8 text, a BOM dropped; None (and a problem) when the file is something else."""
    message = None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "the file is UTF-16, not UTF-8."
    elif b"\x00" in data:
        message = "the file is not text (it holds zero bytes)."
    if message is None:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"the file is not UTF-8 text (byte {error.start + 1})."
    problems.append(Problem(file, None, None, None, message, "Save it as text in UTF-8."))
    return None


def _lines(schema: TableSchema, text: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of every line that isn't blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    count = 0
    start = 0
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(
                Problem(
                    schema.file,
                    start + 1,
                    None,
                    None,
                    f"the line can't be read as CSV ({error}).",
                    "Close every quotation mark, and keep fields short.",
                )
            )
            return
        number, start = start + 1, reader.line_num
        if not any(cell.strip() for cell in fields):
            continue
        count += 1
        if count > MOST_ROWS:
            problems.append(
                Problem(
                    schema.file,
                    number,
                    None,
                    None,
                    f"the file has more than {MOST_ROWS} rows.",
                    "Split the study, or give a smaller network.",
                )
            )
            return
        yield number, fields


def _check_header(table: Table, problems: list[Problem]) -> bool:
    """Required columns there, none twice, none unknown. True if rows can be read."""
    schema, header = table.schema, table.header
    known = [c.name for c in schema.columns]
    if len(header) == 1 and len(known) > 1 and header[0] not in known:
        for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (" ", "blanks")):
            if any(part.strip() in known for part in header[0].split(mark)):
                problems.append(
                    Problem(
                        schema.file,
                        1,
                        None,
                        header[0],
                        f"is separated by {name}.",
                        "Separate columns by commas, and write decimals with a point.",
                    )
                )
                return False
    if not set(header) & set(known):
        message = "the first row has none of the columns of this file."
        cure = f"Begin with the header {','.join(c.name for c in schema.columns if c.required)}"
        problems.append(Problem(schema.file, 1, None, None, message, cure))
        return False
    fine = True
    for name in dict.fromkeys(header):
        if header.count(name) > 1:
            problems.append(
                Problem(
                    schema.file, 1, name, None, "the column is there more than once.", "Keep one of them."
                )
            )
            fine = False
    for column in schema.columns:
        if column.required and column.name not in header:
            problems.append(
                Problem(schema.file, 1, column.name, None, "the column is missing.", f"Add it. {column.cure}")
            )
            fine = False
    for name in dict.fromkeys(header):
        if name not in known:
            near = difflib.get_close_matches(name, [k for k in known if k not in header], 1)
            cure = f"Did you mean {near[0]}?" if near else f"The columns are {', '.join(known)}."
            problems.append(Problem(schema.file, 1, None, name, "is not a column of this file.", cure))
            # an unknown column does no harm to the reading of the others
    return fine


def _read_row(table: Table, number: int, cells: list[str], problems: list[Problem]) -> Row:
    raw = {name: cell.strip() for name, cell in zip(table.header, cells, strict=True)}
    row = Row(number, {}, raw)
    for column in table.schema.columns:
        if column.name not in raw:
            row.cells[column.name] = None
            continue
        value, message = _read_cell(column, raw[column.name])
        row.cells[column.name] = value
        if message is not None:
            row.bad.add(column.name)
            shown = raw[column.name]
            problems.append(
                Problem(table.file, number, column.name, shown if shown else None, message, column.cure)
            )
    return row


def _read_cell(column: Column, text: str) -> tuple[Cell, str | None]:
    """The value of a cell, or None and what is wrong with it."""
    if not text:
        return None, "the cell is blank." if column.filled else None
    if column.kind == "id":
        return _read_id(column, text)
    if column.kind == "text":
        return text, None
    if column.kind == "flag":
        return (text == "1", None) if text in ("0", "1") else (None, "is neither 0 nor 1.")
    if column.kind == "period":
        if not _INTEGER.fullmatch(text):
            return None, "is not an integer of at most nine digits."
        return int(text), None
    return read_number(text, column.low, column.high)


def _read_id(column: Column, text: str) -> tuple[Cell, str | None]:
    if len(text) > _LONGEST_ID:
        return None, f"is longer than {_LONGEST_ID} characters."
    if not text.isprintable():
        return None, "holds a control character."
    for mark in _RESERVED.get(column.name, ""):
        if mark in text:
            return None, f"holds '{mark}', which joins ids in result files."
    if column.name == "road" and text == "outside":
        return None, "is reserved for the route that leaves the game."
    return text, None


def read_number(text: str, low: float, high: float) -> tuple[float | None, str | None]:
    """A decimal number within [low, high], or None and what is wrong with it."""
    if not _NUMBER.fullmatch(text):
        if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            return None, "is not a finite number."
        return None, "is not a number."
    return range_problem(float(text), low, high)


def range_problem(value: float, low: float, high: float) -> tuple[float | None, str | None]:
    """``value`` if it is finite and within [low, high], else None and what is wrong."""
    if not math.isfinite(value) or abs(value) > LARGEST:
        return None, f"is not a finite number of at most {LARGEST:g}."
    if value < low:
        if low == SMALLEST_POSITIVE:
            return None, "is not above 0." if value <= 0 else f"is smaller than {SMALLEST_POSITIVE:g}."
        return None, "is negative." if low == 0.0 else f"is below {low:g}."
    if value > high:
        return None, f"is above {high:g}."
    return value, None


def _check_keys(table: Table, problems: list[Problem]) -> None:
    """No key twice; else ids of the file can't be relied on."""
    first: dict[tuple[Cell, ...], int] = {}
    for row in table.rows:
        # a blank plan is part of the key of a declared route; a blank id is a problem told before
        key = tuple(row.cells.get(c) for c in table.schema.key)
        if any(c in row.bad for c in table.schema.key):
            continue
        if key not in first:
            first[key] = row.number
            continue
        table.usable = False
        shown = ", ".join("" if k is None else str(k) for k in key)
        column = table.schema.key[0] if len(key) == 1 else None
        problems.append(
            Problem(
                table.file,
                row.number,
                column,
                shown,
                f"is there twice (first in row {first[key]}).",
                "Keep one row per " + ", ".join(table.schema.key) + ".",
            )
        )


def unknown_id(table: Table, row: Row, column: str, known: dict[str, Row], where: str, cure: str) -> Problem:
    """The problem of an id that another file doesn't have."""
    value = row.text(column) or ""
    near = difflib.get_close_matches(value, list(known)[:5000], 1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return Problem(
        table.file, row.number, column, value, f"is not a {where} ({listing(known)}).", f"{cure}{hint}"
    )


def refuse(
    problems: list[Problem], table: Table, row: Row | None, column: str | None, message: str, cure: str
) -> None:
    """Append a problem of a cell (or of a row, or of the whole file)."""
    value = row.raw.get(column) if row is not None and column is not None else None
    problems.append(Problem(table.file, row.number if row else None, column, value, message, cure))


def known_ids(table: Table, column: str) -> dict[str, Row] | None:
    """Id -> first row; None if the file could not be read well enough to rely on its ids."""
    return table.ids(column) if table.usable else None


def check_reference(
    table: Table,
    row: Row,
    column: str,
    known: dict[str, Row] | None,
    where: str,
    cure: str,
    problems: list[Problem],
) -> None:
    """Append a problem when the cell's id is not among ``known`` (no check when that is None)."""
    value = row.text(column)
    if known is not None and value is not None and value not in known:
        problems.append(unknown_id(table, row, column, known, where, cure))


def check_period(table: Table, row: Row, periods: list[int] | None, problems: list[Problem]) -> None:
    """Append a problem when the row's period is not one of periods.csv."""
    period = row.period()
    if periods is not None and period is not None and not periods[0] <= period <= periods[-1]:
        refuse(
            problems,
            table,
            row,
            "period",
            f"is not a period of periods.csv ({periods[0]} ... {periods[-1]}).",
            "Give a period of that file, or add the period there.",
        )
