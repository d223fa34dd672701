"""Checks across rows and files, once every cell has been read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise, product

from instances.errors import Problem
from instances.feeder_checks import check_feeder
from instances.references import check_period, check_reference, known_ids, refuse
from instances.rival_checks import check_rival_prices
from instances.route_checks import check_route_set
from instances.schema import SETTINGS_FILE
from instances.settings import Settings
from instances.tables import Row, Table
from instances.tariff_rows import low_tariff_cap, missing_tariff, tariff_columns
from instances.traffic_checks import check_roads, check_stations, check_trips, check_vehicles

PROBABILITY_TOLERANCE = 1e-6
"""How far the probabilities may be from 1 in sum; they are never renormalised."""


def check(tables: Mapping[str, Table], settings: Settings | None, problems: list[Problem]) -> None:
    """Append every problem that shows only when rows and files are seen together."""
    check_feeder(tables["buses.csv"], tables["lines.csv"], settings, problems)
    _check_scenarios(tables["scenarios.csv"], problems)
    periods = _check_periods(tables["periods.csv"], settings, problems)
    _check_wind(tables, periods, problems)
    nodes = check_roads(tables["roads.csv"], tables["nodes.csv"], problems)
    check_vehicles(tables["vehicles.csv"], nodes, problems)
    check_trips(tables["trips.csv"], tables["vehicles.csv"], periods, nodes, problems)
    check_stations(tables["stations.csv"], tables["buses.csv"], nodes, problems)
    _check_tariff(tables["tariff.csv"], tables["stations.csv"], periods, settings, problems)
    check_rival_prices(tables["rival_prices.csv"], tables["stations.csv"], periods, problems)
    check_route_set(tables, nodes, problems)


def _check_scenarios(table: Table, problems: list[Problem]) -> None:
    values = [value for row in table.rows if (value := row.value("probability")) is not None]
    if not table.usable or not values or len(values) < len(table.rows):
        return
    total = math.fsum(values)
    if abs(total - 1.0) > PROBABILITY_TOLERANCE:
        message = f"the probabilities add up to {total:.9g}, not to 1."
        refuse(problems, table, None, "probability", message, "Correct them; they are never rescaled here.")


def _check_periods(table: Table, settings: Settings | None, problems: list[Problem]) -> list[int] | None:
    """The period labels, None if they can't be relied on."""
    labels = sorted({p for row in table.rows if (p := row.period()) is not None})
    if not table.usable or not labels or any("period" in row.bad for row in table.rows):
        return None
    gaps = [a + 1 for a, b in pairwise(labels) if b != a + 1]
    if gaps:
        message = f"period {gaps[0]} is missing between {labels[0]} and {labels[-1]}."
        refuse(problems, table, None, "period", message, "Number the periods by consecutive integers.")
        return None
    if settings and settings.periods is not None and settings.periods != len(labels):
        message = f"is not the number of periods of periods.csv ({len(labels)})."
        cure = "Correct the one that is wrong."
        problems.append(Problem(SETTINGS_FILE, None, "periods", str(settings.periods), message, cure))
    return labels


def _check_wind(tables: Mapping[str, Table], periods: list[int] | None, problems: list[Problem]) -> None:
    farms, wind, scenarios = tables["wind_farms.csv"], tables["wind.csv"], tables["scenarios.csv"]
    buses = known_ids(tables["buses.csv"], "bus")
    for row in farms.rows:
        cure = f"Give the bus that farm '{row.text('farm')}' feeds."
        check_reference(farms, row, "bus", buses, "bus of buses.csv", cure, problems)
    known_farms, known_scenarios = known_ids(farms, "farm"), known_ids(scenarios, "scenario")
    for row in wind.rows:
        for column, known, file in (
            ("farm", known_farms, "wind_farms.csv"),
            ("scenario", known_scenarios, "scenarios.csv"),
        ):
            cure = f"Correct it, or add the {column} to {file}."
            check_reference(wind, row, column, known, f"{column} of {file}", cure, problems)
        check_period(wind, row, periods, problems)
    if known_farms is None or known_scenarios is None or periods is None or not wind.usable:
        return
    given = {(row.text("scenario"), row.period(), row.text("farm")) for row in wind.rows}
    missing = [key for key in product(known_scenarios, periods, known_farms) if key not in given]
    if missing:
        scenario, period, farm = missing[0]
        message = (
            f"{len(missing)} rows are missing, the first for scenario '{scenario}', period {period}, "
            f"farm '{farm}'."
        )
        cure = "Give every scenario, period and farm a row; write 0 where there is no wind."
        refuse(problems, wind, None, "available_kw", message, cure)


def _check_tariff(
    table: Table,
    stations: Table,
    periods: list[int] | None,
    settings: Settings | None,
    problems: list[Problem],
) -> None:
    known = known_ids(stations, "station")
    by_station: dict[str, list[Row]] = {}
    for row in table.rows:
        cure = "Correct it, or add the station."
        check_reference(table, row, "station", known, "station of stations.csv", cure, problems)
        check_period(table, row, periods, problems)
        low, high = row.value("price_min"), row.value("price_max")
        if low is not None and high is not None and low > high:
            message = f"is above price_max ({high:g})."
            refuse(problems, table, row, "price_min", message, "Give the lower price here.")
        name = row.text("station")
        if name is not None and (known is None or name in known):
            by_station.setdefault(name, []).append(row)
    for name, rows in by_station.items():
        _check_tariff_mean(table, name, rows, periods, problems)
    mode = settings.tariff_mode if settings else None
    if mode is not None and known is not None and periods is not None and table.usable:
        _check_tariff_complete(table, known, periods, mode, problems)


def _check_tariff_mean(
    table: Table, name: str, rows: list[Row], periods: list[int] | None, problems: list[Problem]
) -> None:
    """price_mean_max is one number per station, and the floors' mean must not exceed it."""
    caps = [(row, cap) for row in rows if (cap := row.value("price_mean_max")) is not None]
    if not caps:
        return
    first, cap = caps[0]
    other = next((row for row, value in caps if value != cap), None)
    if other is not None:
        message = f"differs from {cap:g}, given in row {first.number} for the same station."
        cure = f"Give station '{name}' one cap for the whole day."
        refuse(problems, table, other, "price_mean_max", message, cure)
        return
    floors = [floor for row in rows if (floor := row.value("price_min")) is not None]
    if periods is None or len(floors) != len(periods):
        return
    mean = math.fsum(floors) / len(floors)
    if mean > cap * (1 + 1e-9):
        problems.append(low_tariff_cap(name, mean, cap, first.number))


def _check_tariff_complete(
    table: Table, known: dict[str, Row], periods: list[int], mode: str, problems: list[Problem]
) -> None:
    """The mode's own columns are filled for every station and period."""
    given = {(row.text("station"), row.period()): row for row in table.rows}
    for column in tariff_columns(mode):
        missing = []
        for station, period in product(known, periods):
            row = given.get((station, period))
            if row is None or (row.value(column) is None and column not in row.bad):
                missing.append((station, period))
        if missing:
            problems.append(missing_tariff(mode, column, missing))
