"""Checks on who owns a station, what rivals post, and the steps of the leader's prices."""

from __future__ import annotations

from itertools import product

from instances.errors import Problem
from instances.price_steps import step_fault
from instances.references import check_period, check_reference, known_ids, refuse
from instances.schema import HIGHEST_PRICE, LOWEST_PRICE
from instances.tables import Row, Table

OWNERS = ("leader", "rival")


def is_rival(row: Row) -> bool:
    """Whether a row of stations.csv is a rival's (a blank owner is the leader)."""
    return row.text("owner") == "rival"


def check_owner(table: Table, row: Row, problems: list[Problem]) -> None:
    """A known owner; the leader's prices have a box; a rival's prices are posted and know no cap and no step."""
    owner = row.text("owner")
    if owner is not None and owner not in OWNERS:
        message = "is no owner of a station."
        refuse(problems, table, row, "owner", message, "Write leader or rival; blank means leader.")
        return
    if not is_rival(row):
        for column, cure in (("price_min", LOWEST_PRICE), ("price_max", HIGHEST_PRICE)):
            if row.value(column) is None and column not in row.bad:
                refuse(problems, table, row, column, "the cell is blank.", cure)
        return
    for column in ("price_mean_max", "price_step"):
        if row.value(column) is not None:
            message = "is given for a rival's station, whose prices are posted in rival_prices.csv."
            refuse(problems, table, row, column, message, "Leave it blank, or write leader as the owner.")


def check_step(table: Table, row: Row, problems: list[Problem]) -> None:
    """Some multiple of price_step lies in the price box and under the mean cap."""
    step, low, high = row.value("price_step"), row.value("price_min"), row.value("price_max")
    if step is None or low is None or high is None or is_rival(row):
        return
    fault = step_fault(step, low, high, row.value("price_mean_max"))
    if fault is not None:
        refuse(problems, table, row, "price_step", *fault)


def check_rival_prices(
    table: Table, stations: Table, periods: list[int] | None, problems: list[Problem]
) -> None:
    """Every rival's station has a posted price in its box in every period, and no other station has one."""
    known = known_ids(stations, "station")
    for row in table.rows:
        cure = "Correct it, or add the station."
        check_reference(table, row, "station", known, "station of stations.csv", cure, problems)
        check_period(table, row, periods, problems)
        station = None if known is None else known.get(row.text("station") or "")
        if station is not None:
            _check_posted(table, row, station, problems)
    if known is None:
        return
    owners = [is_rival(row) for row in known.values() if row.text("owner") in (None, *OWNERS)]
    if owners and all(owners):
        message = "every station is a rival's: the leader has no price to set."
        refuse(
            problems,
            stations,
            None,
            "owner",
            message,
            "Write leader for the stations whose prices are sought.",
        )
        return
    if periods is not None and table.usable:
        _check_complete(table, [name for name, row in known.items() if is_rival(row)], periods, problems)


def _check_posted(table: Table, row: Row, station: Row, problems: list[Problem]) -> None:
    name, price = row.text("station"), row.value("price")
    if not is_rival(station):
        message = f"posts a price of station '{name}', which is not a rival's."
        cure = "Remove the row, or write rival as the station's owner in stations.csv."
        problems.append(Problem(table.file, row.number, "station", name, message, cure))
        return
    low, high = station.value("price_min"), station.value("price_max")
    if price is None:
        return
    if (low is not None and price < low) or (high is not None and price > high):
        ends = f"{'...' if low is None else f'{low:g}'} to {'...' if high is None else f'{high:g}'}"
        message = f"lies outside the price box of station '{name}' in stations.csv ({ends})."
        refuse(problems, table, row, "price", message, "Correct it, or leave a rival's box blank.")


def _check_complete(table: Table, rivals: list[str], periods: list[int], problems: list[Problem]) -> None:
    given = {(row.text("station"), row.period()) for row in table.rows}
    missing = [key for key in product(rivals, periods) if key not in given]
    if not missing:
        return
    station, period = missing[0]
    where = "the file is missing; " if not table.present else ""
    message = (
        f"{where}{len(missing)} posted prices are missing, the first for the rival's station '{station}', "
        f"period {period}."
    )
    cure = "Give every rival's station a price in every period."
    problems.append(Problem(table.file, None, "price", None, message, cure))
