"""A stored result as the page's script draws it: plain lists and numbers (seven digits), None where none is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from formulations.prices import owned
from instances.model import Instance
from mpec.equilibrium import Equilibrium, Point
from mpec.feeder_map import full_lines, tree_positions
from mpec.report.price_parts import PriceParts, price_parts
from mpec.report.sources import Stored
from mpec.road_map import node_positions
from mpec.tables import plan_text

Array = np.ndarray

_AT_LIMIT_PU = 1e-5
_MOST_STEPS = 500
"""Rows of a convergence curve that are drawn; a longer one is thinned (bounds.csv has all)."""


def numbers(values: Any) -> Any:
    """Nested lists of numbers with seven digits; None for what is not finite."""
    if isinstance(values, np.ndarray):
        return numbers(values.tolist())
    if isinstance(values, list | tuple):
        return [numbers(value) for value in values]
    if values is None or not math.isfinite(values):
        return None
    return float(f"{values:.7g}")


def result_view(stored: Stored, upper: float | None, *, maps: bool = True) -> dict[str, Any]:
    """What the script draws of one result.

    upper  the bound that the result is measured by (see verdicts.upper_of)
    maps   False leaves out roads, feeder and routes
    """
    result = stored.result
    game = result.instance
    view: dict[str, Any] = {
        "label": stored.label,
        "game": game.name,
        "method": result.method,
        "currency": game.currency,
        "tariff": game.tariff_mode,
        "period_h": game.period_h,
        "periods": [period.id for period in game.periods],
        "convergence": _convergence(stored, upper),
        "stations": [_station(game, m) for m in range(len(game.stations))],
        "point": result.point is not None,
        "maps": maps and result.point is not None,
    }
    if result.point is None:
        return view
    parts = price_parts(game, result.point)
    view["prices"] = _prices(game, result.point, parts)
    if maps:
        view["roads"] = _roads(game, result.point)
        view["feeder"] = _feeder(game, result.point, parts)
        view["routes"] = _routes(result.point)
    return view


def _station(game: Instance, m: int) -> dict[str, Any]:
    station = game.stations[m]
    return {
        "id": station.id,
        "node": station.node,
        "bus": station.bus,
        "open": station.available,
        "owner": station.owner,
        "limit_kw": numbers(station.capacity_kw),
        "price_min": numbers(station.price_min),
        "price_max": numbers(station.price_max),
        "mean_max": numbers(station.price_mean_max),
    }


def _prices(game: Instance, point: Point, parts: PriceParts) -> dict[str, Any]:
    """Stations x periods; the parts belong to the feeder's nodal price, paid as it is only under dlmp."""
    return {
        "charging": numbers(point.prices),
        "electricity": numbers(point.electricity_price),
        "electricity_low": numbers(point.electricity_low),
        "electricity_high": numbers(point.electricity_high),
        "load": numbers(point.load_kw),
        "profit": numbers(
            owned(game)[:, None] * (point.prices - point.electricity_price) * point.load_kw * game.period_h
        ),
        "parts": {name: numbers(part) for name, part in parts.at_stations(game).items()},
    }


def _convergence(stored: Stored, upper: float | None) -> dict[str, Any]:
    """Both bounds over time; for the heuristic the best profit of every run by iteration."""
    result: Equilibrium = stored.result
    steps = result.bounds
    every = math.ceil(len(steps) / _MOST_STEPS) or 1
    kept = [step for n, step in enumerate(steps) if n % every == 0 or n == len(steps) - 1]
    runs = result.options.get("runs")
    curves: list[Any] = []
    for run in runs if isinstance(runs, list) else []:
        best = run.get("best") if isinstance(run, Mapping) else None
        if isinstance(best, list) and all(v is None or isinstance(v, int | float) for v in best):
            curves.append(numbers(best))
    return {
        "seconds": numbers([step.seconds for step in kept]),
        "lower": numbers([step.lower for step in kept]),
        "upper": numbers([step.upper for step in kept]),
        "end": numbers(result.seconds),
        "rows": len(steps),
        "thinned": every > 1,
        "runs": curves,
        "lower_bound": numbers(stored.judged("lower_bound")),
        "upper_bound": numbers(upper),
    }


def _roads(game: Instance, point: Point) -> dict[str, Any]:
    place = node_positions(game)
    index = {node.id: i for i, node in enumerate(game.nodes)}
    ends = [(index[road.from_node], index[road.to_node]) for road in game.roads]
    given = len({(node.x, node.y) for node in game.nodes}) > 1
    return {
        "nodes": [node.id for node in game.nodes],
        "place": numbers(place),
        "placed": given,
        "ids": [road.id for road in game.roads],
        "ends": ends,
        "free_h": numbers([road.free_flow_h for road in game.roads]),
        "capacity": numbers([road.capacity_veh_per_h for road in game.roads]),
        "flow": numbers(point.road_flow),
        "time_h": numbers(point.road_time_h),
        "station_node": [index[station.node] for station in game.stations],
        "label_angle": [_freest_angle(index[s.node], place, ends) for s in game.stations],
    }


def _freest_angle(node: int, place: Array, ends: list[tuple[int, int]]) -> float:
    """Middle of the widest gap between the roads at a node, radians: where a label covers least."""
    others = {b for a, b in ends if a == node} | {a for a, b in ends if b == node}
    angles = sorted(math.atan2(*(place[other] - place[node])[::-1]) for other in others)
    if not angles:
        return math.pi / 2
    gaps = np.diff([*angles, angles[0] + 2.0 * math.pi])
    widest = int(np.argmax(gaps))
    return round(angles[widest] + 0.5 * float(gaps[widest]), 4)


def _feeder(game: Instance, point: Point, parts: PriceParts) -> dict[str, Any]:
    """The feeder's tree with everything that depends on scenario and period, indexed [s][t][...]."""
    place, parent = tree_positions(game)
    lines = []
    for line in game.lines:
        a, b = game.bus_index[line.from_bus], game.bus_index[line.to_bus]
        lines.append((a, b) if parent[b] == a else (b, a))
    scenarios, periods = range(len(game.scenarios)), range(len(game.periods))
    low = np.array([bus.vmin_pu for bus in game.buses])
    high = np.array([bus.vmax_pu for bus in game.buses])
    level = point.voltage_pu
    side = np.where(level - low < _AT_LIMIT_PU, -1, np.where(high - level < _AT_LIMIT_PU, 1, 0))
    full = [
        [
            np.flatnonzero(full_lines(game, point.line_kw[s, t], point.line_kvar[s, t])).tolist()
            for t in periods
        ]
        for s in scenarios
    ]
    wind = {
        farm.id: numbers([[game.wind[s.id, t.id, farm.id] for t in game.periods] for s in game.scenarios])
        for farm in game.wind_farms
    }
    return {
        "buses": [bus.id for bus in game.buses],
        "place": numbers(place),
        "root": game.bus_index[game.feeder.root_bus],
        "lines": [line.id for line in game.lines],
        "ends": lines,
        "rating_kva": numbers([line.rating_kva for line in game.lines]),
        "scenarios": [scenario.id for scenario in game.scenarios],
        "probability": numbers([scenario.probability for scenario in game.scenarios]),
        "voltage": numbers(level),
        "at_limit": side.tolist(),
        "line_kw": numbers(point.line_kw),
        "full": full,
        "active": numbers(point.price_active),
        "congestion": numbers(parts.congestion[0]),
        "voltage_part": numbers(parts.voltage[0]),
        "shed_kw": numbers(point.shed_kw),
        "emergency_kw": numbers(point.emergency_kw),
        "import_kw": numbers(point.import_kw),
        "station_bus": [game.bus_index[station.bus] for station in game.stations],
        "farms": [{"id": farm.id, "bus": game.bus_index[farm.bus]} for farm in game.wind_farms],
        "wind_available": list(wind.values()),
        "wind_used": numbers(point.wind_kw),
    }


def _routes(point: Point) -> list[list[Any]]:
    """Rows of routes.csv: period, origin, destination, path, plan, veh/h, cost, cheapest cost."""
    return [
        [
            route.period,
            route.origin,
            route.destination,
            "outside" if route.outside else " > ".join(route.path),
            plan_text([(station, float(f"{kwh:.4g}")) for station, kwh in route.plan]).replace(";", "; "),
            *numbers([route.veh_per_h, route.cost, route.cheapest_cost]),
        ]
        for route in point.routes
    ]
