"""From route flows and prices to a whole Point: everything else recomputed exactly, after page 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from formulations.prices import owned
from formulations.routes import RouteSet
from formulations.tariff import fixed_prices
from instances.model import Instance
from mpec.equilibrium import Point, RouteFlow
from mpec.followers.dispatch import DispatchSolver, PeriodDispatch
from mpec.followers.regulated import regulated_prices
from mpec.followers.users import Users

Array = np.ndarray[Any, Any]

USED = 1e-12
"""Flows below this share of their O-D pair's vehicles are rounding and are set to zero."""


def point(
    instance: Instance,
    prices: Array,
    route_flows: Array,
    routes: RouteSet,
    *,
    dispatches: Sequence[PeriodDispatch] | None = None,
    favour: int = 1,
    solver: DispatchSolver | None = None,
    users: Users | None = None,
) -> Point:
    """The Point of flows (R, T) veh/h over a route set at prices (M, T) money/kWh.

    Road times (29), loads (22), residuals (24) and modified demands (23) follow from the flows; the
    operator's dispatch and prices are `dispatches` (one per period) or computed with `favour` as in
    dispatch_period; the leader pays the tariff, the nodal price, or the regulated tariff. Nothing is
    checked: the flows need not be an equilibrium.

    Raises ValueError for wrong shapes or where tariff.csv lacks what the mode needs.
    """
    users = users or Users(routes)
    flows = _without_rounding(users, route_flows)
    periods, stations = len(instance.periods), len(instance.stations)
    if prices.shape != (stations, periods) or flows.shape != (len(routes.routes), periods):
        raise ValueError(
            f"prices {prices.shape} and flows {route_flows.shape} do not fit {stations} stations, "
            f"{len(routes.routes)} routes and {periods} periods"
        )
    residual, modified, load = (v.T for v in users.residual(flows.T))
    road_flow = users.model.on_road.T @ flows
    road_time = users.model.road_time(road_flow.T)[0].T
    if dispatches is None:
        solver = solver or DispatchSolver(instance)
        dispatches = [solver.period(t, load[:, t], favour=favour) for t in range(periods)]
    price, low, high = _electricity(instance, load, dispatches)

    def stack(name: str) -> Array:
        return np.stack([getattr(d, name) for d in dispatches], axis=1)

    return Point(
        prices=prices,
        electricity_price=price,
        electricity_low=low,
        electricity_high=high,
        load_kw=load,
        routes=_route_flows(instance, users, flows, prices, road_time),
        road_flow=road_flow,
        road_time_h=road_time,
        demand=users.demand,
        modified_demand=modified,
        residual=residual,
        voltage_pu=stack("voltage_pu"),
        price_active=stack("price_active"),
        price_reactive=stack("price_reactive"),
        shed_kw=stack("shed_kw"),
        import_kw=stack("import_kw"),
        import_kvar=stack("import_kvar"),
        line_kw=stack("line_kw"),
        line_kvar=stack("line_kvar"),
        wind_kw=stack("wind_kw"),
        emergency_kw=stack("emergency_kw"),
        profit=float(instance.period_h * ((prices - price) * owned(instance)[:, None] * load).sum()),
    )


def _without_rounding(users: Users, flows: Array) -> Array:
    """Flows (R, T) with rounding dust set to zero."""
    flows = np.maximum(np.asarray(flows, float), 0.0)
    if not len(users.model.pair):
        return flows
    total = users.model.slot_sum(flows.T).T[users.model.slot]
    return np.where(flows > USED * total, flows, 0.0)


def _electricity(
    instance: Instance, load: Array, dispatches: Sequence[PeriodDispatch]
) -> tuple[Array, Array, Array]:
    """Electricity price with its interval, (M, T) money/kWh, after the tariff mode."""
    if instance.tariff_mode == "fixed":
        price = fixed_prices(instance)
        return price, price, price
    if instance.tariff_mode == "regulated":
        tariff = regulated_prices(instance, load)
        return tariff.price, tariff.low, tariff.high
    price, low, high = (
        np.stack([getattr(d, name) for d in dispatches], axis=1) for name in ("price", "low", "high")
    )
    return price, low, high


def _route_flows(
    instance: Instance, users: Users, flows: Array, prices: Array, road_time: Array
) -> tuple[RouteFlow, ...]:
    model, routes = users.model, users.routes
    cost = (model.kappa * model.route_time(road_time.T) + users.fixed_cost(prices.T)).T
    cheapest = model.slot_min(cost.T).T[model.slot] if len(model.pair) else cost
    rows = []
    for t, period in enumerate(instance.periods):
        for k in np.flatnonzero(flows[:, t] > 0.0):
            route = routes.routes[k]
            pair = instance.pairs[route.pair]
            rows.append(
                RouteFlow(
                    origin=pair.origin,
                    destination=pair.destination,
                    period=period.id,
                    path=tuple(instance.roads[a].id for a in route.roads),
                    plan=tuple((instance.stations[m].id, float(kwh)) for m, kwh in route.plan),
                    veh_per_h=float(flows[k, t]),
                    cost=float(cost[k, t]),
                    cheapest_cost=float(cheapest[k, t]),
                    outside=route.outside,
                )
            )
    return tuple(rows)
