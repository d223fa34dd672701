"""CSV text to rows of checked cells. Nothing is guessed: what is not clear is a problem."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from instances.cells import Cell, read_cell
from instances.errors import Problem
from instances.schema import TableSchema

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
        value, message = read_cell(column, raw[column.name])
        row.cells[column.name] = value
        if message is not None:
            row.bad.add(column.name)
            shown = raw[column.name]
            problems.append(
                Problem(table.file, number, column.name, shown if shown else None, message, column.cure)
            )
    return row


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
