"""Ids and periods that one file takes from another, and how a refusal is written down."""

from __future__ import annotations

import difflib

from instances.errors import Problem, listing
from instances.tables import Row, Table


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
