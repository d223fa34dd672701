"""The users' side of the judge: nobody could travel cheaper (31); used routes are covered by the bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from formulations.charging_plan import ENERGY_ROUNDING
from formulations.route_records import RouteSet
from instances.model import Instance
from mpec import tolerances
from mpec.checks.equations import Answer
from mpec.checks.record import Check, failed, judged, worst
from mpec.equilibrium import Point
from mpec.followers.cheapest_route import RouteSearch

Array = np.ndarray

STATED_COST = 1e-7

LIMITS, PRICES = 1e-7, 1e-9
"""The judge's tolerances on capacities and on price boxes and caps (mpec.checks.equations)."""


@dataclass(frozen=True)
class Wardrop:
    """checks; cheapest (N, T): cmin, NaN where nobody travels; profit_on_tolerance: money earned on routes
    that are dearer than the cheapest by more than the aim (1e-9)."""

    checks: list[Check]
    cheapest: Array
    profit_on_tolerance: float


def check_wardrop(instance: Instance, point: Point, answer: Answer) -> Wardrop:
    """(31) per O-D pair and period: every route with w > delta Wmod has c - cmin <= eps cmin.

    cmin is found by a search of its own at the exact road times, over all routes (or the declared ones).
    Also the stated cheapest_cost of every row (1e-7), and what is on dearer routes, all routes together, at most delta:
    of the pair's vehicles (a flow must not be cut into slices that each stay below delta), of their hours (few
    vehicles on a road of 1e6 h would be felt in the next period) and of what they cost.
    """
    traffic, prices = answer.traffic, np.asarray(point.prices, float)
    mine = np.array([[station.owner == "leader"] for station in instance.stations])
    margin = np.where(mine, prices - np.asarray(point.electricity_price, float), 0.0)
    cheapest = np.full(traffic.vehicles.shape, math.nan)
    # Vehicles, hours and costs, on dearer routes and on all.
    dearer, everywhere = (np.zeros((3, *traffic.vehicles.shape)) for _ in range(2))
    gaps, stated, on_tolerance = [], [], 0.0
    search = RouteSearch(instance)
    for k, route in enumerate(answer.routes):
        pair, t = route.pair, route.period
        if math.isnan(cheapest[pair, t]):
            cheapest[pair, t] = _cheapest(instance, pair, t, prices, answer, search)
        least, cost = float(cheapest[pair, t]), float(traffic.route_cost[k])
        size = max(abs(least), abs(cost), 1e-12)
        gap = (cost - least) / size
        if route.flow > tolerances.DELTA * traffic.vehicles[pair, t]:
            gaps.append((gap, f"{route.label}: cost {cost:.9g}, the cheapest {least:.9g}"))
        amounts = max(route.flow, 0.0) * np.array([1.0, float(traffic.route_time_h[k]), abs(cost)])
        everywhere[:, pair, t] += amounts
        if not gap <= tolerances.EPSILON:
            dearer[:, pair, t] += amounts
        if not gap <= tolerances.AIM:
            earned = sum(kwh * float(margin[m, t]) for m, kwh in route.plan)
            on_tolerance += instance.period_h * route.flow * abs(earned)
        stated.append((abs(route.cheapest_cost - least) / size, route.label))
    shares = (dearer / np.maximum(everywhere, 1e-30)).max(axis=0)
    place = np.unravel_index(int(np.argmax(shares)), shares.shape) if shares.size else (0, 0)
    total = float(shares[place]) if shares.size else 0.0
    pair_name = ">".join(instance.pairs[int(place[0])].key) if total > 0.0 else ""
    checks = [
        worst("wardrop", tolerances.EPSILON, gaps),
        judged("dearer_routes_in_total", total, tolerances.DELTA, pair_name),
        worst("cheapest_cost_stated", STATED_COST, stated),
    ]
    return Wardrop(checks, cheapest, on_tolerance)


def _cheapest(
    instance: Instance, pair: int, t: int, prices: Array, answer: Answer, search: RouteSearch
) -> float:
    """cmin[rs,t] over all routes, by search; over the declared ones where the instance declares them."""
    od = instance.pairs[pair]
    times = answer.traffic.road_time_h[:, t]
    best = math.inf if od.outside_cost is None else od.outside_cost
    if instance.route_set is None:
        found = search.cheapest(pair, times, prices[:, t])
        return best if found is None else min(best, found.cost)
    for declared in instance.route_set:
        if (declared.origin, declared.destination) != od.key or declared.path == ("outside",):
            continue
        hours = sum(float(times[instance.road_index[road]]) for road in declared.path)
        bill = 0.0
        for name, kwh in declared.plan:
            m = instance.station_index[name]
            hours += kwh / instance.stations[m].pile_kw
            bill += kwh * float(prices[m, t])
        best = min(best, instance.users.kappa_per_h * hours + bill)
    return best


def tolerance_allowance(instance: Instance, point: Point, answer: Answer, cheapest: Array) -> float:
    """What the tolerances of the game and of the judge could move the profit by, to first order, money.

    Used routes may cost cmin (1 + eps), a share delta of a pair may drive anywhere; loads may exceed limits by 1e-7,
    prices their box and cap by 1e-9. Only a part of it can be there at any one point.
    """
    traffic, dt = answer.traffic, instance.period_h
    prices = np.asarray(point.prices, float)
    most = np.array([p.max_kwh for p in instance.pairs]) * float(prices.max(initial=0.0))
    revenue = float(np.abs(prices * traffic.load_kw).sum())
    routes = traffic.vehicles * (
        tolerances.EPSILON * np.nan_to_num(cheapest) + tolerances.DELTA * most[:, None]
    )
    return dt * (float(routes.sum()) + (LIMITS + PRICES) * revenue)


def check_membership(instance: Instance, answer: Answer, routes: RouteSet) -> Check:
    """Every used route is in the set that the bound covers: a plan between two listed ones is not in it."""
    name = "routes_covered_by_the_bound"
    known: dict[tuple[int, tuple[int, ...], bool], list[dict[int, float]]] = {}
    for listed in routes.routes:
        known.setdefault((listed.pair, tuple(listed.roads), listed.outside), []).append(dict(listed.plan))
    for route in answer.routes:
        rounding = 10.0 * ENERGY_ROUNDING * max(1.0, abs(instance.pairs[route.pair].max_kwh))
        plan = dict(route.plan)
        for other in known.get((route.pair, route.roads, route.outside), []):
            if all(abs(plan.get(m, 0.0) - other.get(m, 0.0)) <= rounding for m in plan.keys() | other.keys()):
                break
        else:
            return failed(name, 0.0, f"{route.label} is not in the route set")
    return judged(name, 0.0, 0.0)
