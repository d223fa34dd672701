"""Follower 2, the EV users of one period: a Wardrop equilibrium over a route set, eqs. (15)-(31).

A route k is a path with a charging plan h[k,m] (kWh); w[k] the vehicles on it (veh/h):

    (27)  x_a = sum of w[k] over the routes that use road a                     veh/h
    (29)  t_a = t0 (1 + alpha ((x_a + b_a) / u_a)^beta)                         h
    (30)  charging time = sum_m h[k,m] / pile_kw[m]                             h
    (25)  c0[k] = kappa (driving time + charging time)                          money
    (15)  c[k] = c0[k] + sum_m h[k,m] rho[m]   ("outside": its fixed cost)      money
    (22)  P[m] = sum_k w[k] h[k,m]                                              kW
    (23)  sum of w[k] over the routes of rs = Wmod[rs]                          veh/h
    (31)  0 <= w[k]  complementary to  c[k] - cmin[rs] >= 0

(24) and (26), which tie Wmod to the residual flow, are added by `residual_flow`. (14) is not used: the
paper minimises what is an outcome of (31). (28), the flow at a node, is reported only.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from pyomo.mpec import Complementarity, complements

from formulations.residual_flow import add_residual_flow
from formulations.routes import RouteSet
from instances.model import Instance


def pair_name(origin: str, destination: str) -> str:
    """How an O-D pair is called in component names and reports."""
    return f"{origin}>{destination}"


def users_block(instance: Instance, routes: RouteSet, period_index: int) -> pyo.Block:
    """The users of one period. Routes are indexed 0 ... R-1 as in the route set, pairs by "from>to".

    Given:   charging_price[m], money/kWh; incoming_residual[rs], veh/h
    Decides: flow[k], cheapest_cost[rs], modified_demand[rs], residual[rs]
    Answers: station_load[m] (kW), road_flow[a], road_time[a], cost[k]
    """
    block = pyo.Block(concrete=True)
    pairs = [pair_name(*pair.key) for pair in instance.pairs]
    block.charging_price = pyo.Var(
        [station.id for station in instance.stations], doc="given: charging price rho[m], money/kWh"
    )
    block.incoming_residual = pyo.Var(
        pairs, domain=pyo.NonNegativeReals, doc="given: residual flow of the period before, veh/h"
    )
    block.given = [block.charging_price, block.incoming_residual]
    block.flow = pyo.Var(
        range(len(routes.routes)), domain=pyo.NonNegativeReals, doc="vehicles on the route w[k], veh/h"
    )
    _road_flow(block, instance, routes)  # (27), (28)
    _road_time(block, instance)  # (29)
    _route_cost(block, instance, routes)  # (30), (25), (15)
    _station_load(block, instance, routes)  # (22)
    _demand(block, pairs, routes)  # (23)
    add_residual_flow(block, instance, routes, period_index)  # (24), (26)
    _wardrop(block, pairs, routes)  # (31)
    return block


def _road_flow(block: pyo.Block, instance: Instance, routes: RouteSet) -> None:
    position = instance.road_index
    users_of = {a: [k for k, r in enumerate(routes.routes) if i in r.roads] for a, i in position.items()}
    block.road_flow = pyo.Expression(
        list(position),
        rule=lambda b, a: sum((b.flow[k] for k in users_of[a]), start=0.0),
        doc="(27) flow of the road x_a, veh/h",
    )
    into = {node.id: [a.id for a in instance.roads if a.to_node == node.id] for node in instance.nodes}
    block.node_flow = pyo.Expression(
        list(into),
        rule=lambda b, n: sum((b.road_flow[a] for a in into[n]), start=0.0),
        doc="(28) flow arriving at the node, veh/h; reported only, no waiting time is printed for it",
    )


def _road_time(block: pyo.Block, instance: Instance) -> None:
    def rule(b: pyo.Block, road_id: str) -> Any:
        road = instance.roads[instance.road_index[road_id]]
        if road.bpr_beta == 0.0 or road.bpr_alpha == 0.0:
            constant = road.bpr_alpha if road.bpr_beta == 0.0 else 0.0
            return road.free_flow_h * (1.0 + constant)
        ratio = (b.road_flow[road_id] + road.background_veh_per_h) / road.capacity_veh_per_h
        return road.free_flow_h * (1.0 + road.bpr_alpha * ratio**road.bpr_beta)

    block.road_time = pyo.Expression(
        list(instance.road_index), rule=rule, doc="(29) time of the road t_a under its flow, h"
    )


def _route_cost(block: pyo.Block, instance: Instance, routes: RouteSet) -> None:
    roads, stations = instance.roads, instance.stations
    kappa = instance.users.kappa_per_h
    block.charging_h = pyo.Param(
        block.flow.index_set(),
        initialize=lambda b, k: sum(kwh / stations[m].pile_kw for m, kwh in routes.routes[k].plan),
        doc="(30) charging time of the route's plan, h",
    )
    block.time_h = pyo.Expression(
        block.flow.index_set(),
        rule=lambda b, k: (
            sum((b.road_time[roads[a].id] for a in routes.routes[k].roads), start=0.0) + b.charging_h[k]
        ),
        doc="driving plus charging time of the route T_k, h (part of (25))",
    )
    block.time_cost = pyo.Expression(
        block.flow.index_set(),
        rule=lambda b, k: kappa * b.time_h[k],
        doc="(25) value of the route's time c0[k] = kappa T_k, money",
    )

    def cost(b: pyo.Block, k: int) -> Any:
        bill = sum(kwh * b.charging_price[stations[m].id] for m, kwh in routes.routes[k].plan)
        return b.time_cost[k] + bill + float(routes.outside_cost[k])

    block.cost = pyo.Expression(
        block.flow.index_set(), rule=cost, doc="(15) cost of the route c[k]: time and charging bill, money"
    )


def _station_load(block: pyo.Block, instance: Instance, routes: RouteSet) -> None:
    charging: dict[str, list[tuple[int, float]]] = {station.id: [] for station in instance.stations}
    for k, route in enumerate(routes.routes):
        for m, kwh in route.plan:
            charging[instance.stations[m].id].append((k, kwh))
    block.station_load = pyo.Expression(
        list(charging),
        rule=lambda b, m: sum((kwh * b.flow[k] for k, kwh in charging[m]), start=0.0),
        doc="(22) station load P[m], veh/h * kWh/veh = kW",
    )


def _demand(block: pyo.Block, pairs: list[str], routes: RouteSet) -> None:
    block.modified_demand = pyo.Var(
        pairs, domain=pyo.NonNegativeReals, doc="vehicles that travel in the period Wmod[rs], veh/h"
    )
    block.demand_served = pyo.Constraint(
        pairs,
        rule=lambda b, rs: (
            sum((b.flow[int(k)] for k in routes.pair_rows[pairs.index(rs)]), start=0.0)
            == b.modified_demand[rs]
        ),
        doc="(23) the routes of a pair carry its modified demand, veh/h",
    )


def _wardrop(block: pyo.Block, pairs: list[str], routes: RouteSet) -> None:
    block.cheapest_cost = pyo.Var(pairs, doc="(31) cost of the pair's cheapest route cmin[rs], money")
    pair_of = [pairs[route.pair] for route in routes.routes]
    block.wardrop = Complementarity(
        block.flow.index_set(),
        rule=lambda b, k: complements(b.flow[k] >= 0, b.cost[k] - b.cheapest_cost[pair_of[k]] >= 0),
        doc="(31) a used route is a cheapest one: 0 <= w[k], c[k] - cmin[rs] >= 0, one of them 0",
    )
