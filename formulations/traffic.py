"""What a list of used routes amounts to, computed exactly: flows, times, loads, residuals and costs.

Everything follows from who drives where and charges what, at given prices:

    (27) road flows -> (29) road times -> (30), (25) route times -> (15) route costs, (24) residual flow;
    (22) station loads, (23) vehicles per pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.congestion import RoadCost
from formulations.route_reading import ReadRoute
from instances.model import Instance

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Traffic:
    """Recomputed from the used routes. A roads, M stations, N pairs, T periods, K used routes.

    road_flow, road_time_h (A, T); load_kw (M, T); vehicles (N, T): sum of the routes' flows, veh/h;
    residual (N, T) veh/h; route_time_h, route_cost (K,): h and money, outside routes have time 0;
    cheapest_used (N, T): least cost among the listed routes, inf where none is listed.
    """

    road_flow: Array
    road_time_h: Array
    load_kw: Array
    vehicles: Array
    residual: Array
    route_time_h: Array
    route_cost: Array
    cheapest_used: Array


def traffic_of(instance: Instance, routes: Sequence[ReadRoute], prices: Array) -> Traffic:
    """Evaluate routes at prices (M, T) money/kWh. Those without known pair or period count nowhere."""
    periods, pairs = len(instance.periods), len(instance.pairs)
    flow, load = np.zeros((len(instance.roads), periods)), np.zeros((len(instance.stations), periods))
    vehicles, residual = np.zeros((pairs, periods)), np.zeros((pairs, periods))
    placed = [k for k, route in enumerate(routes) if route.pair >= 0 and route.period >= 0]
    for k in placed:
        route = routes[k]
        vehicles[route.pair, route.period] += route.flow
        for road in route.roads:
            flow[road, route.period] += route.flow
        for station, kwh in route.plan:
            load[station, route.period] += route.flow * kwh
    time = RoadCost.of(instance).time(flow)
    pile = np.array([station.pile_kw for station in instance.stations], float)
    route_time, route_cost = np.full(len(routes), np.nan), np.full(len(routes), np.nan)
    cheapest = np.full((pairs, periods), np.inf)
    for k in placed:
        route = routes[k]
        route_time[k] = 0.0
        if not route.outside:
            charging = sum((_ratio(kwh, pile[m]) for m, kwh in route.plan), start=0.0)
            route_time[k] = float(sum(time[a, route.period] for a in route.roads)) + charging
        bill = sum((kwh * float(prices[m, route.period]) for m, kwh in route.plan), start=0.0)
        route_cost[k] = instance.users.kappa_per_h * route_time[k] + bill
        if route.outside:
            route_cost[k] = _outside_cost(instance, route.pair)
        residual[route.pair, route.period] += instance.residual_rate * route.flow * route_time[k]
        least = cheapest[route.pair, route.period]
        cheapest[route.pair, route.period] = np.fmin(least, route_cost[k])
    return Traffic(flow, time, load, vehicles, residual, route_time, route_cost, cheapest)


def incoming_residual(instance: Instance, residual: Array) -> Array:
    """r[rs,t-1] for every t, (N, T) veh/h: the initial one, then the residual of the period before."""
    first = np.full((len(instance.pairs), 1), instance.users.initial_residual)
    return np.hstack([first, residual[:, :-1]])[:, : len(instance.periods)]


def demand_matrix(instance: Instance) -> Array:
    """W[rs,t], (N, T) veh/h."""
    rows = [[instance.demand(pair, period) for period in instance.periods] for pair in instance.pairs]
    return np.array(rows, float).reshape(len(instance.pairs), len(instance.periods))


def _ratio(kwh: float, pile_kw: float) -> float:
    """(30) h, and infinite where nothing can be charged."""
    if kwh == 0.0:
        return 0.0
    return kwh / pile_kw if pile_kw > 0.0 else np.inf


def _outside_cost(instance: Instance, pair: int) -> float:
    cost = instance.pairs[pair].outside_cost
    return np.nan if cost is None else cost
