"""Used routes as stated, read against the instance: is each one a route of its O-D pair at all?

A route is a path that visits no node twice and passes only nodes open to through traffic, with a charging
plan at stations it passes (the destination's included, the origin's not) that keeps (16)-(21).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from formulations.charging_plan import ENERGY_ROUNDING, LONGEST_STOP_H
from formulations.declared_routes import OUTSIDE, SLACK_KWH
from instances.model import Instance

Plan = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class ReadRoute:
    """A stated route by the instance's indices; -1: unknown pair or period; NaN: unreadable number.

    fault: why it is no route of its pair, "" if it is one. label: how to name it in a report.
    """

    pair: int
    period: int
    roads: tuple[int, ...]
    plan: tuple[tuple[int, float], ...]
    flow: float
    cost: float
    cheapest_cost: float
    outside: bool
    fault: str
    label: str


def read_routes(instance: Instance, stated: Any) -> tuple[list[ReadRoute], str]:
    """All stated routes, and a fault of the list itself ("" if there is none)."""
    if not isinstance(stated, Iterable):
        return [], "routes is not a list of routes"
    declared = None if instance.route_set is None else _declared(instance)
    routes: list[ReadRoute] = []
    seen: dict[Any, list[Plan]] = {}
    for number, item in enumerate(stated):
        route = _read(instance, item, number)
        if not route.fault:
            here = route.pair, route.roads
            plans = seen.setdefault((route.period, route.outside, here), [])
            if _among(instance, route, plans):
                # Many copies of a route could each stay below the share at which a route counts as used.
                route = replace(route, fault="listed twice in the period")
            elif declared is not None and not route.outside:
                if not _among(instance, route, declared.get(here, [])):
                    route = replace(route, fault="not in the declared route set")
            plans.append(route.plan)
        routes.append(route)
    return routes, ""


def plan_violation(instance: Instance, route: ReadRoute) -> tuple[float, str]:
    """The largest violation of (16)-(21) by a plan, relative to what it charges (or, if more, to a thousandth of
    the battery), and where. 0 if outside."""
    if route.outside or route.pair < 0:
        return 0.0, ""
    pair = instance.pairs[route.pair]
    # Never more than the battery: the route set's own rounding is a share of that.
    size = (
        min(max(sum(abs(kwh) for _, kwh in route.plan), 1e-3 * abs(pair.max_kwh)), abs(pair.max_kwh)) or 1.0
    )
    # A declared plan is accepted with finitely many digits; game and judge are restricted to it as it is.
    allowance = 0.0 if instance.route_set is None else SLACK_KWH
    found: list[tuple[float, str]] = []
    for m, kwh in route.plan:
        station = instance.stations[m]
        most = station.pile_kw * LONGEST_STOP_H if station.available else 0.0
        found.append((max(kwh - most, -kwh), f"energy taken at station {station.id}"))
    energy = pair.initial_kwh
    found.append((max(energy - pair.max_kwh, pair.min_kwh - energy), "initial energy"))
    for a in route.roads:
        road = instance.roads[a]
        energy -= road.energy_kwh
        found.append((max(energy - pair.max_kwh, pair.min_kwh - energy), f"arriving at node {road.to_node}"))
        energy += sum(kwh for m, kwh in route.plan if instance.stations[m].node == road.to_node)
        found.append((max(energy - pair.max_kwh, pair.min_kwh - energy), f"leaving node {road.to_node}"))
    found.append((pair.final_kwh - energy, "final energy"))
    value, where = max((math.inf if math.isnan(v) else v, text) for v, text in found)
    return max((value - allowance) / size, 0.0), where


def _read(instance: Instance, item: Any, number: int) -> ReadRoute:
    """One stated route. A field of the wrong type is a fault of the route, never an exception."""
    names = ("origin", "destination", "period", "path", "plan")
    origin, destination, period_id, path, plan = (getattr(item, name, None) for name in names)
    label = f"route {number + 1} ({origin}>{destination}, period {period_id})"
    pair = _position({p.key: i for i, p in enumerate(instance.pairs)}, (origin, destination))
    period = _position({p.id: i for i, p in enumerate(instance.periods)}, period_id)
    outside = getattr(item, "outside", None)
    roads, path_fault = _path(instance, path, _true(outside))
    charged, plan_fault = _plan(instance, plan)
    faults = [
        "unknown origin-destination pair" if pair < 0 else "",
        "unknown period" if period < 0 else "",
        "outside is neither true nor false" if not isinstance(outside, bool | np.bool_) else "",
        path_fault,
        plan_fault,
    ]
    flow, cost, cheapest = (_number(getattr(item, n, None)) for n in ("veh_per_h", "cost", "cheapest_cost"))
    faults += ["its flow is not a finite number" if not math.isfinite(flow) else ""]
    if not any(faults) and _true(outside):
        if instance.pairs[pair].outside_cost is None:
            faults.append("the pair has no outside option")
        elif charged:
            faults.append("an outside route does not charge")
    elif not any(faults):
        faults.append(_geometry(instance, pair, roads, [m for m, _ in charged]))
    fault = next((text for text in faults if text), "")
    return ReadRoute(pair, period, roads, charged, flow, cost, cheapest, _true(outside), fault, label)


def _path(instance: Instance, path: Any, outside: bool) -> tuple[tuple[int, ...], str]:
    if not isinstance(path, Sequence) or isinstance(path, str):
        return (), "its path is not a list of road ids"
    if outside:
        return (), "" if tuple(path) in ((), (OUTSIDE,)) else "an outside route uses no road"
    unknown = [road for road in path if _position(instance.road_index, road) < 0]
    known = tuple(_position(instance.road_index, r) for r in path if _position(instance.road_index, r) >= 0)
    if unknown:
        return known, f"unknown road {unknown[0]}"
    return known, "" if known else "its path is empty"


def _plan(instance: Instance, plan: Any) -> tuple[tuple[tuple[int, float], ...], str]:
    if not isinstance(plan, Sequence) or isinstance(plan, str):
        return (), "its plan is not a list of (station, kWh)"
    read: list[tuple[int, float]] = []
    fault = ""
    for entry in plan:
        if not isinstance(entry, Sequence) or len(entry) != 2:
            fault = fault or "its plan is not a list of (station, kWh)"
            continue
        station, kwh = _position(instance.station_index, entry[0]), _number(entry[1])
        if station < 0:
            fault = fault or f"unknown station {entry[0]}"
            continue
        if not math.isfinite(kwh):
            fault = fault or f"the energy taken at station {entry[0]} is not a finite number"
        if any(m == station for m, _ in read):
            fault = fault or f"station {entry[0]} is twice in its plan"
        read.append((station, kwh))
    return tuple(read), fault


def _geometry(instance: Instance, pair: int, roads: tuple[int, ...], stations: list[int]) -> str:
    """Does the path lead from origin to destination, and does it pass the stations of the plan?"""
    od, path = instance.pairs[pair], [instance.roads[a] for a in roads]
    nodes = [path[0].from_node] + [road.to_node for road in path]
    closed = {node.id for node in instance.nodes if not node.through}
    if nodes[0] != od.origin:
        return f"it starts at node {nodes[0]}"
    if nodes[-1] != od.destination:
        return f"it ends at node {nodes[-1]}"
    for before, after in pairwise(path):
        if before.to_node != after.from_node:
            return f"road {after.id} does not follow road {before.id}"
    if len(set(nodes)) < len(nodes):
        return "it visits a node twice"
    passed = sorted(closed.intersection(nodes[1:-1]))
    if passed:
        return f"it passes node {passed[0]}, which is closed to through traffic"
    for m in stations:
        if instance.stations[m].node not in nodes[1:]:
            return f"it does not pass station {instance.stations[m].id}"
    return ""


def _declared(instance: Instance) -> dict[tuple[int, tuple[int, ...]], list[Plan]]:
    """The declared plans by pair and roads. "outside" may be declared; the pair's cost decides on it."""
    plans: dict[tuple[int, tuple[int, ...]], list[Plan]] = {}
    for declared in instance.route_set or ():
        if declared.path == (OUTSIDE,):
            continue
        roads = tuple(instance.road_index[road] for road in declared.path)
        pair = instance.pair_index[declared.origin, declared.destination]
        plan = tuple((instance.station_index[m], kwh) for m, kwh in declared.plan)
        plans.setdefault((pair, roads), []).append(plan)
    return plans


def _among(instance: Instance, route: ReadRoute, plans: Sequence[Plan]) -> bool:
    """Is the route's plan one of these, up to rounding?"""
    rounding = 10.0 * ENERGY_ROUNDING * max(1.0, abs(instance.pairs[route.pair].max_kwh))
    mine = dict(route.plan)
    for plan in plans:
        other = dict(plan)
        if all(abs(mine.get(m, 0.0) - other.get(m, 0.0)) <= rounding for m in mine.keys() | other.keys()):
            return True
    return False


def _position(index: dict[Any, int], key: Any) -> int:
    try:
        return index.get(key, -1)
    except TypeError:  # an unhashable key names nothing
        return -1


def _true(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) and bool(value)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
