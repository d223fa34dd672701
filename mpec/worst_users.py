"""All of the users' answers of one period without residual flow, as a polytope that is exact.

Road times and costs are unique, so an answer is any split of the vehicles over the cheapest routes that keeps
the flow of every road whose time depends on it:

    w >= 0 on routes with c_k - cmin <= eps cmin,   sum_k w_k = W,   sum_{k on a} w_k = x_a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from formulations.congestion import RoadCost
from formulations.route_records import RouteSet
from mpec import tolerances
from mpec.linear_model import LinearModel

Array = np.ndarray


@dataclass(frozen=True)
class UsersPolytope:
    """A model without objective; routes (indices) and their columns; load (M,): columns of P_m, kW."""

    model: LinearModel
    routes: Array
    flow: Array
    load: Array


@dataclass(frozen=True)
class Reference:
    """An equilibrium of the period: flows (R,), road_flow (A,), cost (R,), cheapest (N,)."""

    flows: Array
    road_flow: Array
    cost: Array
    cheapest: Array


def reference(routes: RouteSet, prices: Array, flows: Array) -> Reference:
    """Costs at flows (R,) and prices (M,); pairs without routes get infinity."""
    road_flow = flows @ routes.on_road
    times = RoadCost.of(routes.instance).time(road_flow)
    hours = np.where(routes.outside, 0.0, routes.on_road @ times + routes.charging_h)
    cost = routes.instance.users.kappa_per_h * hours + routes.plan_kwh @ prices + routes.outside_cost
    cheapest = np.array([cost[rows].min() if len(rows) else math.inf for rows in routes.pair_rows])
    return Reference(flows, road_flow, cost, cheapest)


def add_loads(model: LinearModel, routes: RouteSet, used: Array, flow: Array, *, capped: bool) -> Array:
    """P_m = sum_k w_k h_km (22), at most the capacity if ``capped``; columns (M,)."""
    columns = []
    for m, station in enumerate(routes.instance.stations):
        most = float(np.dot(np.array(model.upper)[flow], routes.plan_kwh[used, m])) + 1.0
        most = min(most, station.capacity_kw * (1.0 + tolerances.EPSILON)) if capped else most
        column = model.add_variable(f"load[{station.id}]", 0.0, most)
        plan = routes.plan_kwh[used, m]
        model.add_row(f"station_load[{station.id}]", [*flow, column], [*plan, -1.0], 0.0, 0.0)
        columns.append(column)
    return np.array(columns, dtype=int)


def tie_polytope(
    routes: RouteSet, prices: Array, at: Reference, demand: Array, *, capped: bool = True
) -> UsersPolytope:
    """Every split of an equilibrium's vehicles with the same road times (exact without residual flow).

    ``demand`` (N,): sum of the routes' flows to keep, veh/h.
    """
    roads = RoadCost.of(routes.instance)
    tied = at.cost - at.cheapest[routes.pair] <= tolerances.EPSILON * np.abs(at.cheapest[routes.pair])
    used = np.flatnonzero((tied | (at.flows > 0.0)) & (demand[routes.pair] > 0.0))
    model = LinearModel("users' ties")
    flow = model.add_variables([f"route[{k}]" for k in used], 0.0, demand[routes.pair[used]])
    for n, total in enumerate(demand):
        mine = flow[routes.pair[used] == n]
        if len(mine):
            model.add_row(f"vehicles[{n}]", mine, np.ones(len(mine)), total, total)
    felt = (roads.alpha > 0.0) & (roads.beta > 0.0) & (roads.free_flow_h > 0.0)
    if routes.instance.users.kappa_per_h == 0.0:
        felt &= False
    for a in np.flatnonzero(felt):
        mine = flow[routes.on_road[used, a] > 0.0]
        if len(mine):
            model.add_row(f"road[{a}]", mine, np.ones(len(mine)), at.road_flow[a], at.road_flow[a])
    return UsersPolytope(model, used, flow, add_loads(model, routes, used, flow, capped=capped))


def keep_residuals(part: UsersPolytope, routes: RouteSet, at: Reference) -> None:
    """Rows that keep every O-D pair's vehicle hours, sum_k w_k T_k, and with them what is left for the next period.

    Road times are those of ``at`` all over a tie polytope, so T_k is a number, and with the same vehicles and hours
    (23)-(26) hold as before: with residual flow such a split is an answer, to which all other periods' answers stay.
    """
    times = RoadCost.of(routes.instance).time(at.road_flow)
    hours = np.where(routes.outside, 0.0, routes.on_road @ times + routes.charging_h)[part.routes]
    spent = hours * at.flows[part.routes]
    for n in range(len(routes.instance.pairs)):
        mine = routes.pair[part.routes] == n
        if mine.any():
            total = float(spent[mine].sum())
            part.model.add_row(f"hours[{n}]", part.flow[mine], hours[mine], total, total)
