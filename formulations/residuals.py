"""Every equation of the game, evaluated exactly at a point, without a solver.

The point's list of used routes is the source: flows, times, loads, costs and residuals are recomputed from
it (`traffic`), the equations are checked on what was recomputed, and the stated tables are compared with it.
What is *not* here, as it needs an optimisation: that no cheaper route exists (31), that the dispatch is
optimal and the prices dual to it (4). The judge adds those.

Deviations are relative: to the entry itself, or to 1/1000 of the largest entry of its kind where that is
more (`stated.scale`).
A missing entry, a wrong shape or a number that is not finite is a violation (`inf`), not an exception.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from formulations.grid_residuals import grid_residuals
from formulations.prices import off_grid, owned, price_box
from formulations.route_reading import ReadRoute, plan_violation, read_routes
from formulations.stated import (
    Residual,
    StatedPoint,
    ToleranceKind,
    axis_labels,
    own_scale,
    relative_difference,
    scale,
    stated_arrays,
    worst,
)
from formulations.tariff_data import fixed_prices, regulated_tariff, tariff_box
from formulations.traffic import Traffic, demand_matrix, incoming_residual, traffic_of
from instances.model import Instance

Array = np.ndarray[Any, Any]
MT, AT, NT = (("station", "period"), ("road", "period"), ("pair", "period"))

__all__ = ["Residual", "StatedPoint", "ToleranceKind", "evaluate"]


def evaluate(instance: Instance, point: StatedPoint) -> dict[str, Residual]:
    """The largest violation of each equation at the point, by name; see `EQUATIONS` for the numbers.

    Never raises because of what the point states; a broken point has infinite residuals.
    """
    stated, faults = stated_arrays(instance, point)
    routes, list_fault = read_routes(instance, getattr(point, "routes", None))
    faults = [*faults, list_fault] if list_fault else faults
    with np.errstate(all="ignore"):  # NaN and inf are expected here and reported as violations
        traffic = traffic_of(instance, routes, stated["prices"])
        residuals = {"numbers": _numbers(faults)}
        residuals |= _prices(instance, stated)
        residuals |= _routes(instance, routes, traffic)
        residuals |= _flows(instance, stated, routes, traffic)
        residuals["capacity"] = _capacity(instance, stated, traffic)  # (2), (3)
        residuals |= _tariff(instance, stated, traffic)
        residuals |= grid_residuals(instance, stated, traffic.load_kw)  # (5)-(13)
        residuals["profit"] = _profit(instance, stated, traffic)  # (1)
    return residuals


EQUATIONS: dict[str, tuple[int, ...]] = {
    "numbers": (),
    "price_box": (1,),
    "posted_prices": (1,),
    "price_grid": (1,),
    "mean_price_cap": (1,),
    "route_validity": (14,),
    "charging_plan": (16, 17, 18, 19, 20, 21),
    "route_cost": (15, 25, 30),
    "cheapest_cost": (31,),
    "flow_sign": (31,),
    "station_load": (22,),
    "demand_served": (23,),
    "demand_data": (26,),
    "residual_flow": (24,),
    "demand_conservation": (26,),
    "road_flow": (27,),
    "road_time": (29,),
    "capacity": (2, 3),
    "electricity_price": (4,),
    "price_interval": (4,),
    "substation": (5, 6),
    "active_balance": (7,),
    "reactive_balance": (8,),
    "voltage_drop": (9,),
    "voltage_limits": (9,),
    "line_limits": (10, 11),
    "wind": (12, 13),
    "recourse": (4,),
    "profit": (1,),
}
"""Which equations of the paper (or of its deviations) each residual belongs to."""


def _numbers(faults: Sequence[str]) -> Residual:
    """Every array is there, has its shape and holds finite numbers."""
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Residual(math.inf if faults else 0.0, "exact", faults[0] + more if faults else "")


def _prices(instance: Instance, stated: dict[str, Array]) -> dict[str, Residual]:
    """Charging prices in their box and on their grid, at most the mean cap over the periods; rivals' as posted."""
    labels, prices = axis_labels(instance), stated["prices"]
    low, high = price_box(instance)
    size = own_scale(np.maximum(np.abs(low), np.abs(high)))
    caps = [math.inf if s.price_mean_max is None else s.price_mean_max for s in instance.stations]
    cap = np.array(caps, float)
    excess = np.where(np.isfinite(cap), prices.mean(axis=1) - cap, 0.0)
    cap_size = np.where(np.isfinite(cap), np.maximum(np.abs(cap), 1e-3 * size.max(axis=1, initial=0.0)), 1.0)
    mine = owned(instance)[:, None] > 0.0
    return {
        "price_box": worst(
            "price",
            labels,
            (np.where(mine, (low - prices) / size, 0.0), MT, "below the least price"),
            (np.where(mine, (prices - high) / size, 0.0), MT, "above the greatest price"),
        ),
        "posted_prices": worst(
            "exact", labels, (np.where(mine, 0.0, np.abs(prices - low)), MT, "not what the rival posts")
        ),
        "price_grid": worst("price", labels, (off_grid(instance, prices), MT, "no multiple of the step")),
        "mean_price_cap": worst("price", labels, (excess / cap_size, ("station",), "")),
    }


def _routes(instance: Instance, routes: Sequence[ReadRoute], traffic: Traffic) -> dict[str, Residual]:
    """Are they routes at all; (16)-(21) of their plans; (15) and the cheapest cost as stated."""
    faulty = next((route for route in routes if route.fault), None)
    validity = Residual(0.0, "exact", "")
    if faulty is not None:
        validity = Residual(math.inf, "exact", f"{faulty.label}: {faulty.fault}")
    plans = [(*plan_violation(instance, route), route.label) for route in routes]
    cost = np.array([route.cost for route in routes], float)
    cheapest = np.array([route.cheapest_cost for route in routes], float)
    least = np.array([_least_listed(traffic, route) for route in routes], float)
    return {
        "route_validity": validity,
        "charging_plan": _worst_route(
            [v for v, _, _ in plans], [f"{label}: {w}" for _, w, label in plans], "energy"
        ),
        "route_cost": _worst_route(
            list(relative_difference(cost, traffic.route_cost)), [route.label for route in routes]
        ),
        # Whether it is the cheapest of all is the judge's question; it can't exceed a listed route's.
        "cheapest_cost": _worst_route(
            list((cheapest - least) / scale(least)), [route.label for route in routes]
        ),
    }


def _least_listed(traffic: Traffic, route: ReadRoute) -> float:
    if route.pair < 0 or route.period < 0:
        return math.nan
    return float(traffic.cheapest_used[route.pair, route.period])


def _worst_route(values: Sequence[float], labels: Sequence[str], kind: ToleranceKind = "flow") -> Residual:
    value, where = 0.0, ""
    for candidate, label in zip(values, labels, strict=True):
        known = math.inf if math.isnan(candidate) else float(candidate)
        if known > value:
            value, where = known, label
    return Residual(value, kind, where)


def _flows(
    instance: Instance, stated: dict[str, Array], routes: Sequence[ReadRoute], traffic: Traffic
) -> dict[str, Residual]:
    """(22)-(24), (26), (27), (29): the stated tables against what the routes amount to."""
    labels, xi = axis_labels(instance), instance.users.xi
    demand = demand_matrix(instance)
    available = demand + xi * incoming_residual(instance, traffic.residual)
    leftover = traffic.vehicles + xi * traffic.residual - available
    stated_right = demand + xi * incoming_residual(instance, stated["residual"])
    stated_leftover = stated["modified_demand"] + xi * stated["residual"] - stated_right

    def table(name: str, expected: Array, axes: Sequence[str]) -> Residual:
        return worst("flow", labels, (relative_difference(stated[name], expected), axes, ""))

    sizes = own_scale(available)
    negative = [
        -route.flow / float(sizes[route.pair, route.period]) if route.pair >= 0 and route.period >= 0 else 0.0
        for route in routes
    ]
    return {
        # Exactly: many slices of next to nothing below zero add up.
        "flow_sign": _worst_route(negative, [route.label for route in routes], "exact"),
        "station_load": table("load_kw", traffic.load_kw, MT),
        "demand_served": table("modified_demand", traffic.vehicles, NT),
        "demand_data": table("demand", demand, NT),
        "residual_flow": table("residual", traffic.residual, NT),
        "demand_conservation": worst(
            "flow",
            labels,
            (np.abs(leftover) / sizes, NT, "by the listed routes"),
            (np.abs(stated_leftover) / sizes, NT, "by the stated table"),
        ),
        "road_flow": table("road_flow", traffic.road_flow, AT),
        "road_time": table("road_time_h", traffic.road_time_h, AT),
    }


def _capacity(instance: Instance, stated: dict[str, Array], traffic: Traffic) -> Residual:
    """(2), (3): P <= S cos(phi), for the recomputed and the stated load, relative to the capacity."""
    capacity = np.array([station.capacity_kw for station in instance.stations], float)[:, None]
    size = own_scale(capacity)
    return worst(
        "capacity",
        axis_labels(instance),
        ((traffic.load_kw - capacity) / size, MT, ""),
        ((stated["load_kw"] - capacity) / size, MT, "as stated"),
    )


def _tariff(instance: Instance, stated: dict[str, Array], traffic: Traffic) -> dict[str, Residual]:
    """The electricity price after the tariff's mode, and the stated interval around it."""
    labels, price = axis_labels(instance), stated["electricity_price"]
    parts: list[tuple[Array, Sequence[str], str]] = []
    if instance.tariff_mode == "fixed":
        given = fixed_prices(instance)
        parts.append((np.abs(price - given) / own_scale(given), MT, "not the given tariff"))
    elif instance.tariff_mode == "dlmp":
        expected = nodal_prices(instance, stated["price_active"], stated["price_reactive"])
        imported = np.array([period.import_price_per_kwh for period in instance.periods], float)
        size = np.maximum(own_scale(expected), 1e-3 * np.abs(imported))
        parts.append((np.abs(price - expected) / size, MT, "not the nodal price of its bus"))
    else:
        parts += _regulated(instance, price, traffic.load_kw)
    size = scale(price)
    return {
        "electricity_price": worst("tariff", labels, *parts),
        "price_interval": worst(
            "tariff",
            labels,
            ((stated["electricity_low"] - price) / size, MT, "below its interval"),
            ((price - stated["electricity_high"]) / size, MT, "above its interval"),
        ),
    }


def nodal_prices(instance: Instance, active: Array, reactive: Array) -> Array:
    """c[m,t] = sum_s p_s (lambda + tan(phi) pi), (M, T) money/kWh, of conditional bus prices (S, T, B)."""
    probability = np.array([scenario.probability for scenario in instance.scenarios], float)
    expected_active, expected_reactive = (np.tensordot(probability, x, axes=1) for x in (active, reactive))
    rows = []
    for station in instance.stations:
        bus = instance.bus_index[station.bus]
        rows.append(expected_active[:, bus] + station.tan_phi * expected_reactive[:, bus])
    return np.array(rows, float).reshape(len(instance.stations), len(instance.periods))


def _regulated(instance: Instance, price: Array, load_kw: Array) -> list[tuple[Array, Sequence[str], str]]:
    """The box, the mean cap, and that the bill is the greatest possible, relative to the leader's."""
    box = tariff_box(instance)
    size = own_scale(np.maximum(np.abs(box.low), np.abs(box.high)))
    capped = np.isfinite(box.mean)
    excess = np.where(capped, price.mean(axis=1) - box.mean, 0.0) / size.max(axis=1, initial=0.0)
    best = mine = math.nan
    if np.isfinite(load_kw).all():
        bill = regulated_tariff(instance, load_kw) * load_kw
        best, mine = float(bill.sum()), float((owned(instance)[:, None] * bill).sum())
    short = best - float((price * load_kw).sum())
    # Relative to what the leader pays: what is missing may all be missing there.
    period = np.array([short / max(abs(mine), 1e-6 * abs(best), 1e-3)])
    return [
        ((box.low - price) / size, MT, "below the regulated box"),
        ((price - box.high) / size, MT, "above the regulated box"),
        (excess, ("station",), "above the regulated mean"),
        (period, ("day",), "the grid's operator could earn more"),
    ]


def _profit(instance: Instance, stated: dict[str, Array], traffic: Traffic) -> Residual:
    """(1) at the leader's stations with recomputed loads.

    Relative to the profit (at least 1 money unit, or 1e-6 of the turnover).
    """
    sold = owned(instance)[:, None] * traffic.load_kw * instance.period_h
    revenue = stated["prices"] * sold
    bill = stated["electricity_price"] * sold
    profit = float(revenue.sum() - bill.sum())
    turnover = float(np.abs(revenue).sum() + np.abs(bill).sum())
    size = max(abs(profit), 1.0, 1e-6 * turnover)
    error = abs(float(stated["profit"]) - profit) / size
    value = math.inf if math.isnan(error) else error
    return Residual(value, "profit", f"recomputed {profit:.10g}" if value > 0.0 else "")
