"""The grid's equations (4)-(13) at stated dispatch, exactly and without a solver, all at once.

Index order (S, T, .) as in a point: S scenarios, T periods, B buses, L lines, F farms, M stations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from formulations.dispatch_data import INNER_SCALE, OBLIQUE_SIDES
from formulations.feeder_tree import feeder_tree
from formulations.stated import Residual, axis_labels, scale, worst
from instances.model import Instance

Array = np.ndarray[Any, Any]
STB, STL, STF, STM = (("scenario", "period", last) for last in ("bus", "line", "farm", "station"))


@dataclass(frozen=True)
class Grid:
    """Dispatch as stated, with what it is compared to. ``load_kw`` is the station load, (M, T)."""

    instance: Instance
    stated: dict[str, Array]
    load_kw: Array

    @cached_property
    def base_kw(self) -> Array:
        """(T, B) base load."""
        factor = np.array([p.load_factor for p in self.instance.periods])
        return np.asarray(np.outer(factor, [b.load_kw for b in self.instance.buses]))

    @cached_property
    def base_kvar(self) -> Array:
        """(T, B)."""
        factor = np.array([p.load_factor for p in self.instance.periods])
        return np.asarray(np.outer(factor, [b.load_kvar for b in self.instance.buses]))

    @cached_property
    def available_kw(self) -> Array:
        """(S, T, F) wind that could be used."""
        instance = self.instance
        shape = (len(instance.scenarios), len(instance.periods), len(instance.wind_farms))
        rows = [
            instance.wind[s.id, t.id, f.id]
            for s in instance.scenarios
            for t in instance.periods
            for f in instance.wind_farms
        ]
        return np.array(rows, float).reshape(shape)

    @cached_property
    def v(self) -> Array:
        """(S, T, B) squared voltage; a negative magnitude counts as negative, so it breaks its limits."""
        magnitude = self.stated["voltage_pu"]
        return np.asarray(magnitude * np.abs(magnitude))

    @cached_property
    def rating(self) -> tuple[float, Array]:
        """Substation's and lines' kVA after the polygon's scaling; (L,), inf without limit."""
        feeder = self.instance.feeder
        factor = INNER_SCALE if feeder.polygon == "inner" else 1.0
        lines = np.array([line.rating_kva for line in self.instance.lines], float)
        return feeder.substation_kva * factor, lines * factor


def grid_residuals(instance: Instance, stated: dict[str, Array], load_kw: Array) -> dict[str, Residual]:
    """Violations of the grid's equations, by name: balances, voltage, limits, wind, recourse."""
    grid = Grid(instance, stated, load_kw)
    return {
        "active_balance": _balance(grid, reactive=False),  # (7)
        "reactive_balance": _balance(grid, reactive=True),  # (8)
        "voltage_drop": _voltage_drop(grid),  # (9)
        "voltage_limits": _voltage_limits(grid),
        "substation": _substation(grid),  # (5), (6)
        "line_limits": _line_limits(grid),  # (10), (11)
        "wind": _wind(grid),  # (12), (13)
        "recourse": _recourse(grid),
    }


def operating_cost(instance: Instance, stated: dict[str, Array]) -> Array:
    """(4) at stated dispatch: probability times money, (S, T)."""
    grid, feeder = Grid(instance, stated, np.zeros(0)), instance.feeder
    weight = np.array([s.probability for s in instance.scenarios])[:, None] * instance.period_h
    price = np.array([p.import_price_per_kwh for p in instance.periods])[None, :]
    curtailed = (grid.available_kw - stated["wind_kw"]).sum(axis=2)
    unserved = stated["shed_kw"].sum(axis=2) + stated["emergency_kw"].sum(axis=2)
    money = (
        price * stated["import_kw"] + feeder.curtailment_per_kwh * curtailed + feeder.voll_per_kwh * unserved
    )
    return np.asarray(weight * money)


def _balance(grid: Grid, *, reactive: bool) -> Residual:
    """(7), (8): import + wind + shed + emergency - station load - outflow = base load, at every bus.

    The error of a bus is divided by the sum of the row's terms.
    """
    instance, stated, tree = grid.instance, grid.stated, feeder_tree(grid.instance)
    stations, farms, buses = instance.stations, instance.wind_farms, instance.bus_index
    base = grid.base_kvar if reactive else grid.base_kw
    flow = stated["line_kvar"] if reactive else stated["line_kw"]
    imported = stated["import_kvar"] if reactive else stated["import_kw"]
    error = np.broadcast_to(-base, stated["shed_kw"].shape).copy()
    size = np.abs(error)

    def add(bus: int, term: Array) -> None:
        error[:, :, bus] += term
        size[:, :, bus] += np.abs(term)

    add(tree.root, imported)
    for f, farm in enumerate(farms):
        add(buses[farm.bus], (farm.tan_phi if reactive else 1.0) * stated["wind_kw"][:, :, f])
    for b, bus in enumerate(instance.buses):
        ratio = 1.0 if not reactive else (bus.load_kvar / bus.load_kw if bus.load_kw else 0.0)
        add(b, ratio * stated["shed_kw"][:, :, b])
    for m, station in enumerate(stations):
        factor = station.tan_phi if reactive else 1.0
        add(buses[station.bus], factor * stated["emergency_kw"][:, :, m])
        add(buses[station.bus], -factor * np.broadcast_to(grid.load_kw[m], imported.shape))
    for line in range(len(instance.lines)):
        add(tree.far[line], flow[:, :, line])
        add(tree.near[line], -flow[:, :, line])
    return worst("dispatch", axis_labels(instance), (np.abs(error) / scale(size), STB, ""))


def _voltage_drop(grid: Grid) -> Residual:
    """(9) along every line, and the root's given voltage; p.u. squared, relative to the root's."""
    instance, tree, v = grid.instance, feeder_tree(grid.instance), grid.v
    feeder = instance.feeder
    per_unit = 1.0 / (feeder.base_ohm * feeder.base_kva)
    r = np.array([line.r_ohm for line in instance.lines], float) * per_unit
    x = np.array([line.x_ohm for line in instance.lines], float) * per_unit
    drop = 2.0 * (r * grid.stated["line_kw"] + x * grid.stated["line_kvar"])
    error = v[:, :, np.array(tree.near, int)] - v[:, :, np.array(tree.far, int)] - drop
    root_v = feeder.root_voltage_pu**2
    root_error = np.abs(v[:, :, tree.root] - root_v) / root_v
    return worst(
        "dispatch",
        axis_labels(instance),
        (np.abs(error) / root_v, STL, ""),
        (root_error, ("scenario", "period"), "voltage of the root bus"),
    )


def _voltage_limits(grid: Grid) -> Residual:
    low = np.array([bus.vmin_pu**2 for bus in grid.instance.buses])
    high = np.array([bus.vmax_pu**2 for bus in grid.instance.buses])
    return worst(
        "dispatch",
        axis_labels(grid.instance),
        ((low - grid.v) / scale(low), STB, "below its least voltage"),
        ((grid.v - high) / scale(high), STB, "above its greatest voltage"),
    )


def _substation(grid: Grid) -> Residual:
    """(5) 0 <= P, Q <= S and (6) |P +- Q| <= sqrt2 S, relative to S."""
    p, q, s = grid.stated["import_kw"], grid.stated["import_kvar"], grid.rating[0]
    size = s if s > 0.0 else 1.0
    rows = [(-p, "P_GD < 0"), (-q, "Q_GD < 0"), (p - s, "P_GD"), (q - s, "Q_GD")]
    rows += [(a * p + b * q - np.sqrt(2.0) * s, f"side {k}") for k, (a, b) in OBLIQUE_SIDES.items()]
    return worst(
        "dispatch",
        axis_labels(grid.instance),
        *((excess / size, ("scenario", "period"), what) for excess, what in rows),
    )


def _line_limits(grid: Grid) -> Residual:
    """(10) |P|, |Q| <= S_l and (11) |P +- Q| <= sqrt2 S_l, relative to S_l; nothing on unlimited lines."""
    p, q, s = grid.stated["line_kw"], grid.stated["line_kvar"], grid.rating[1]
    size = scale(s)
    rows = [(np.abs(p) - s, "P_line"), (np.abs(q) - s, "Q_line")]
    rows += [(a * p + b * q - np.sqrt(2.0) * s, f"side {k}") for k, (a, b) in OBLIQUE_SIDES.items()]
    limited = np.isfinite(s)
    parts = [
        (np.where(limited, excess, 0.0) / np.where(limited, size, 1.0), STL, what) for excess, what in rows
    ]
    broken = np.where(np.isfinite(p) & np.isfinite(q), 0.0, np.inf)
    return worst("dispatch", axis_labels(grid.instance), *parts, (broken, STL, "not a number"))


def _wind(grid: Grid) -> Residual:
    """(12) 0 <= used <= available; (13) enters the reactive balance."""
    used, available = grid.stated["wind_kw"], grid.available_kw
    size = scale(available)
    return worst(
        "dispatch",
        axis_labels(grid.instance),
        (-used / size, STF, "negative"),
        ((used - available) / size, STF, "above what is available"),
    )


def _recourse(grid: Grid) -> Residual:
    """Shedding between 0 and the base load, emergency supply not negative."""
    shed, emergency = grid.stated["shed_kw"], grid.stated["emergency_kw"]
    base = np.broadcast_to(grid.base_kw, shed.shape)
    load = np.broadcast_to(grid.load_kw.T, emergency.shape)
    return worst(
        "dispatch",
        axis_labels(grid.instance),
        (-shed / scale(base), STB, "negative shedding"),
        ((shed - base) / scale(base), STB, "more shed than there is base load"),
        (-emergency / scale(load), STM, "negative emergency supply"),
    )
