"""The users' routes: every path with every charging plan that could be used, with proof, or a declared set.

A route (page 1 of the design; (14)-(22)) is a path that visits no node twice plus the energy charged at the
stations it passes; leaving the game at the pair's `outside_cost` is one more route, without roads. The
set is complete in this sense: at every price of the price box, in every period, no route outside the set
can carry vehicles in an equilibrium. The steps, each with its own proof:

1. paths in the order of a lower bound on their cost, up to the pair's dearest conceivable minimum
   (`path_search`, `route_usability.sweep`);
2. paths that a known route beats everywhere are dropped;
3. on each path left, the plans that some price makes best (`charging_plan`);
4. routes that another route of the pair beats everywhere are dropped (`route_usability.dominated`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from formulations.charging_plan import LONGEST_STOP_H, path_rules, plan_vertices, stops_by_node, time_price
from formulations.congestion import road_time
from formulations.declared_routes import declared_routes
from formulations.path_search import Path, RoadGraph, TooManyPathsError, paths_by_cost
from formulations.route_records import Route, RouteSet, route_candidates
from formulations.route_usability import DROP_MARGIN, Candidates, Ceilings, dominated, sweep
from instances.errors import InstanceError, Problem
from instances.model import Instance

Array = np.ndarray[Any, Any]

__all__ = [
    "Route",
    "RouteSet",
    "hour_routes",
    "refuse_stranded",
    "route_set",
    "undominated",
    "usage_ceilings",
]

REFERENCE_PATHS = 8
"""So many of a pair's cheapest paths give the first bound on what it can have to pay."""

MOST_LISTED = 100_000
"""So many paths are listed, all pairs together, before the enumeration is given up (about 10 s, 200 MiB)."""

MOST_DETAILED = 3_000
"""The plans of so many paths are looked at, all pairs together (about 10 ms each)."""

MOST_RIVALS = 300
"""A route is compared with at most so many others of its pair, the cheapest ones."""


def route_set(instance: Instance) -> RouteSet:
    """The declared routes if the instance declares any, else every route that could be used, with proof.

    Raises InstanceError when a pair with trips has no route, or has too many paths to look at them all.
    """
    if instance.route_set is not None:
        rows = declared_routes(instance)
        found = [Route(pair, roads, plan) for pair, roads, plan in rows]
    else:
        found = _usable_routes(instance)
    outside = [Route(n, (), (), True) for n, p in enumerate(instance.pairs) if p.outside_cost is not None]
    routes = sorted([*found, *outside], key=lambda route: route.pair)
    refuse_stranded(instance, {route.pair for route in routes})
    declared = instance.route_set is not None
    return RouteSet(instance, tuple(routes), complete=not declared, declared=declared)


def hour_routes(
    routes: RouteSet,
    flow_upper: Array,
    *,
    flow_lower: Array | None = None,
    price_low: Array | None = None,
    price_high: Array | None = None,
) -> Array:
    """Mask (R,) of the routes that can be used while flows and prices stay in the given intervals.

    ``flow_upper``, ``flow_lower`` (A,) veh/h, without background traffic (default for the latter: 0);
    ``price_low``, ``price_high`` (M,) money/kWh, default: the instance's price box. The proof is that of
    `route_usability`: another route of the pair is cheaper throughout, by more than the game's slack.
    """
    instance = routes.instance
    roads = len(instance.roads)
    low = road_time(instance, np.zeros(roads) if flow_lower is None else np.asarray(flow_lower, float))
    high = np.maximum(road_time(instance, np.asarray(flow_upper, float)), low)
    usable = np.ones(len(routes.routes), bool)
    for rows in routes.pair_rows:
        table = route_candidates(routes, rows, price_low=price_low, price_high=price_high)
        usable[rows] = ~dominated(table, instance.users.kappa_per_h, low, high)[0]
    return usable


def usage_ceilings(routes: RouteSet) -> Ceilings:
    """Upper bounds on flows, road times, modified demand and residual flow by period, all prices allowed."""
    return sweep(routes.instance, [route_candidates(routes, rows) for rows in routes.pair_rows])


# ---- the steps of the enumeration --------------------------------------------------------------------


def _usable_routes(instance: Instance) -> list[Route]:
    graph = RoadGraph.of(instance, road_time(instance, np.zeros(len(instance.roads))))
    searches = [paths_by_cost(graph, pair) for pair in instance.pairs]
    first = [_take(instance, n, search, None, MOST_LISTED) for n, search in enumerate(searches)]
    known = _with_plans(instance, first, np.zeros(len(instance.pairs)))
    ceiling = sweep(instance, _any_path(instance, graph, known)).cheapest.max(axis=1)
    found: list[list[Path]] = []
    for n, (paths, search, limit) in enumerate(zip(first, searches, ceiling, strict=True)):
        room = MOST_LISTED - sum(map(len, found))
        found.append([*paths, *_take(instance, n, search, float(limit), room)])
    on_paths = sweep(instance, _path_candidates(instance, found, known))
    kept = [
        [paths[k] for k in np.flatnonzero(usable.any(axis=1))]
        for paths, usable in zip(found, on_paths.usable, strict=True)
    ]
    detailed = sum(map(len, kept))
    if detailed > MOST_DETAILED:
        raise _explosion(instance, f"{detailed} paths could be used, and their plans would have to be listed")
    slack = DROP_MARGIN * np.where(np.isfinite(on_paths.cheapest), on_paths.cheapest, 0.0).max(axis=1)
    return undominated(_with_plans(instance, kept, slack))


def _take(instance: Instance, n: int, search: Iterator[Path], limit: float | None, room: int) -> list[Path]:
    """The next paths of a pair: `REFERENCE_PATHS` of them, or all whose bound does not exceed ``limit``.

    Raises InstanceError beyond ``room`` paths, at once: looking at the other pairs too could take hours.
    """
    pair = instance.pairs[n]
    taken: list[Path] = []
    try:
        if limit is None:
            return list(islice(search, REFERENCE_PATHS))
        for path in search:
            if path.least_cost > limit * (1.0 + DROP_MARGIN):
                break
            taken.append(path)
            if len(taken) > room:
                place = f"at the pair '{pair.origin}' to '{pair.destination}', number {n + 1}"
                raise _explosion(
                    instance, f"more than {MOST_LISTED} in all, {place} of {len(instance.pairs)}"
                )
    except TooManyPathsError as error:
        raise _explosion(instance, str(error)) from error
    return taken


def _explosion(instance: Instance, how: str) -> InstanceError:
    """The enumeration is given up: why, and what works without it."""
    problem = Problem(
        "roads.csv", None, None, None, f"the paths are too many to enumerate: {how}.",
        "Give --generate-routes to `mpec solve`: it needs no enumeration. Or declare the routes in route_set.csv "
        "(origin,destination,path,plan); `mpec routes` writes such a file.",
    )  # fmt: skip
    return InstanceError([problem], instance.name)


def _with_plans(instance: Instance, paths: list[list[Path]], slack: Array) -> RouteSet:
    """Routes of the paths with each plan that prices can make best within ``slack`` (N,), and outside."""
    value = time_price(instance)
    low = value + np.array([station.price_min for station in instance.stations], float)
    high = value + np.array([station.price_max for station in instance.stations], float)
    routes: list[Route] = []
    for n, pair in enumerate(instance.pairs):
        for path in paths[n]:
            rules = path_rules(instance, pair, path.roads)
            if rules is None:
                continue
            at = list(rules.stations)
            for plan in plan_vertices(rules, low[at], high[at], slack=float(slack[n])):
                charged = zip(rules.stations, plan.tolist(), strict=True)
                routes.append(Route(n, path.roads, tuple((m, h) for m, h in charged if h > rules.tolerance)))
        if pair.outside_cost is not None:
            routes.append(Route(n, (), (), True))
    return RouteSet(instance, tuple(routes), complete=False, declared=False)


def undominated(routes: RouteSet) -> list[Route]:
    """Drop what other routes of the pair beat in every period, until nothing more falls; without outside."""
    before = len(routes.routes) + 1
    while len(routes.routes) < before:
        before = len(routes.routes)
        rows = routes.pair_rows
        tables = [route_candidates(routes, mine, _cheapest_rows(routes, mine)) for mine in rows]
        usable = sweep(routes.instance, tables).usable
        kept = [mine[mask.any(axis=1)] for mine, mask in zip(rows, usable, strict=True)]
        chosen = tuple(routes.routes[k] for mine in kept for k in mine)
        routes = RouteSet(routes.instance, chosen, complete=False, declared=False)
    return [route for route in routes.routes if not route.outside]


def _cheapest_rows(routes: RouteSet, rows: Array) -> Array:
    """Positions within ``rows`` of the routes that are cheapest on empty roads at mid-box prices."""
    instance = routes.instance
    empty = road_time(instance, np.zeros(len(instance.roads)))
    middle = np.array([0.5 * (station.price_min + station.price_max) for station in instance.stations])
    hours = routes.on_road[rows] @ empty + routes.charging_h[rows]
    bill = routes.plan_kwh[rows] @ middle + routes.outside_cost[rows]
    order = np.argsort(instance.users.kappa_per_h * hours + bill, kind="stable")
    return order[:MOST_RIVALS]


def _path_candidates(instance: Instance, paths: list[list[Path]], known: RouteSet) -> list[Candidates]:
    """Paths with bounds on all of their plans as candidates, and outside; rivals are the known routes."""
    least = road_time(instance, np.zeros(len(instance.roads)))
    stops = stops_by_node(instance)
    tables = []
    for n, rows in enumerate(known.pair_rows):
        rivals = route_candidates(known, rows)
        on = np.zeros((len(paths[n]), len(instance.roads)))
        charge = np.zeros(len(paths[n]))
        for k, path in enumerate(paths[n]):
            on[k, list(path.roads)] = 1.0
            on_way = sum(len(stops.get(instance.roads[a].to_node, ())) for a in path.roads)
            charge[k] = LONGEST_STOP_H * on_way
        bill = np.array([path.least_bill for path in paths[n]])
        zero = np.zeros(len(paths[n]))
        gap = bill[:, None] - rivals.rival_bill_high[None, :]
        rival = rivals.rival_on, rivals.rival_bill_high
        tables.append(Candidates(on, on @ least, zero, charge, bill, zero, *rival, gap))
    return tables


def _any_path(instance: Instance, graph: RoadGraph, known: RouteSet) -> list[Candidates]:
    """One candidate per pair that stands for any path: every road, the least time; never dropped."""
    tables = []
    for pair, rows in zip(instance.pairs, known.pair_rows, strict=True):
        rivals = route_candidates(known, rows)
        hours = graph.distance_to(graph.number[pair.destination], graph.least_time)[graph.number[pair.origin]]
        stays = LONGEST_STOP_H * len(instance.stations)
        zero = np.zeros(1)
        on, gap = np.ones((1, len(instance.roads))), np.full((1, len(rows)), -np.inf)
        drive, charge = np.full(1, hours if np.isfinite(hours) else 0.0), np.full(1, stays)
        rival = rivals.rival_on, rivals.rival_bill_high
        tables.append(Candidates(on, drive, zero, charge, zero, zero, *rival, gap))
    return tables


def refuse_stranded(instance: Instance, served: set[int]) -> None:
    """InstanceError for every pair with vehicles on the way and no route."""
    problems = []
    for n, pair in enumerate(instance.pairs):
        trips = sum(instance.demand(pair, period) for period in instance.periods)
        arriving = instance.users.xi * instance.users.initial_residual
        if n not in served and trips + arriving > 0.0:
            problems.append(
                Problem(
                    "trips.csv", None, None, f"{pair.origin}, {pair.destination}",
                    "has trips but no route: no path can be driven with the energy of vehicles.csv.",
                    "Give initial_kwh, min_kwh and final_kwh that the roads and stations allow, a road, "
                    "an outside_cost, or remove the trips.",
                )
            )  # fmt: skip
    if problems:
        raise InstanceError(problems, instance.name)
