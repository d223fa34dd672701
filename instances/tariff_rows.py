"""What a tariff mode needs of tariff.csv."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from instances.errors import Problem

if TYPE_CHECKING:
    from instances.model import Instance


def tariff_columns(mode: str) -> tuple[str, ...]:
    """The columns of tariff.csv that a mode needs for every station and period."""
    return {
        "fixed": ("price_per_kwh",),
        "regulated": ("price_min", "price_max", "price_mean_max"),
    }.get(mode, ())


def tariff_problems(instance: Instance) -> list[Problem]:
    """What the instance's tariff mode lacks over its periods; [] if nothing (always for ``dlmp``)."""
    problems = []
    for column in tariff_columns(instance.tariff_mode):
        missing = [
            (station.id, period.id)
            for station in instance.stations
            for period in instance.periods
            if getattr(instance.tariff.get((station.id, period.id)), column, None) is None
        ]
        if missing:
            problems.append(missing_tariff(instance.tariff_mode, column, missing))
    if problems or instance.tariff_mode != "regulated":
        return problems
    for station in instance.stations:
        rows = [instance.tariff[station.id, period.id] for period in instance.periods]
        floor = math.fsum(row.price_min or 0.0 for row in rows) / len(rows)
        cap = rows[0].price_mean_max or 0.0
        if floor > cap * (1 + 1e-9):
            problems.append(low_tariff_cap(station.id, floor, cap))
    return problems


def missing_tariff(mode: str, column: str, missing: Sequence[tuple[str, int]]) -> Problem:
    """The problem of stations and periods without a value that the tariff mode needs."""
    station, period = missing[0]
    return Problem(
        file="tariff.csv",
        row=None,
        column=column,
        value=None,
        message=f"tariff mode {mode} needs a value for every station and period; {len(missing)} missing, "
        f"the first for station '{station}', period {period}.",
        cure="Give it, or choose another tariff mode.",
    )


def low_tariff_cap(station: str, floor: float, cap: float, row: int | None = None) -> Problem:
    """The problem of a mean cap below the mean of the floors."""
    return Problem(
        file="tariff.csv",
        row=row,
        column="price_mean_max",
        value=f"{cap:g}",
        message=f"is below the mean of price_min ({floor:.6g}) of station '{station}' over the periods: no "
        "tariff is allowed.",
        cure="Raise the cap or lower the floors.",
    )
