"""A small game with every feature, and points of it that keep all equations, made without `mpec`'s help."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from formulations.congestion import road_time
from formulations.distribution import distribution_block
from formulations.routes import RouteSet, route_set
from formulations.tariff import fixed_prices, regulated_tariff
from instances.model import (
    Bus,
    Feeder,
    Instance,
    Line,
    Node,
    Pair,
    Period,
    Road,
    Scenario,
    Station,
    TariffRow,
    Users,
    WindFarm,
)
from mpec.equilibrium import Point, RouteFlow

Array = np.ndarray


def crossing() -> Instance:
    """4 road nodes, 3 stations, 2 pairs (one may stay outside), 4 buses, 2 periods, 2 scenarios, xi 0.5.

    Line "3-2" is written against the direction of supply and line "2-4" has no rating.
    """
    roads = [
        Road("oa", "o", "a", 10.0, 0.20, 60.0, 4.0),
        Road("ob", "o", "b", 10.0, 0.25, 50.0, 3.0, 0.15, 4.0, 5.0),
        Road("ab", "a", "b", 5.0, 0.05, 40.0, 1.0, 0.5, 1.0),
        Road("ad", "a", "d", 12.0, 0.30, 50.0, 5.0),
        Road("bd", "b", "d", 9.0, 0.20, 50.0, 3.0, 0.2, 0.0),
    ]
    stations = [
        Station("A", "a", "2", 900.0, 0.95, 50.0, True, 0.5, 2.0, 1.4),
        Station("B", "b", "3", 900.0, 0.90, 30.0, True, 0.5, 2.0),
        Station("D", "d", "4", 900.0, 1.00, 60.0, True, 0.4, 1.8, 1.5),
    ]
    periods = [Period(7, 0.7, 0.5), Period(8, 1.0, 0.9)]
    scenarios = [Scenario("calm", 0.4), Scenario("windy", 0.6)]
    available = {"calm": 50.0, "windy": 400.0}
    cells = [(s, t, m) for s in scenarios for t in periods for m in stations]
    return Instance(
        name="crossing",
        currency="CNY",
        period_h=1.0,
        users=Users(20.0, 0.5, None, 2.0),
        feeder=Feeder(10.0, 1000.0, "1", 1.0, 3000.0, "outer", 10.0, 0.1),
        tariff_mode="dlmp",
        buses=(
            Bus("1", 0.0, 0.0, 0.9, 1.1),
            Bus("2", 200.0, 80.0, 0.9, 1.1),
            Bus("3", 150.0, 60.0, 0.9, 1.1),
            Bus("4", 100.0, 40.0, 0.9, 1.1),
        ),
        lines=(
            Line("1-2", "1", "2", 1.0, 0.8, 2500.0),
            Line("3-2", "3", "2", 0.8, 0.6, 700.0),
            Line("2-4", "2", "4", 1.5, 1.0),
        ),
        wind_farms=(WindFarm("W", "4", 0.98),),
        scenarios=tuple(scenarios),
        periods=tuple(periods),
        nodes=(Node("o"), Node("a"), Node("b"), Node("d", through=False)),
        roads=tuple(roads),
        pairs=(Pair("o", "d", 12.0, 2.0, 40.0, 20.0), Pair("a", "d", 9.0, 1.0, 30.0, 12.0, 25.0)),
        stations=tuple(stations),
        trips={("o", "d", 7): 20.0, ("o", "d", 8): 35.0, ("a", "d", 8): 10.0},
        wind={(s.id, t.id, "W"): available[s.id] for s in scenarios for t in periods},
        tariff={(m.id, t.id): TariffRow(0.6 + 0.1 * t.id, 0.4, 1.0, 0.75) for _, t, m in cells},
    )


@pytest.fixture(scope="session")
def game() -> Instance:
    return crossing()


@pytest.fixture(scope="session")
def game_routes(game: Instance) -> RouteSet:
    return route_set(game)


@pytest.fixture(scope="session")
def point_of() -> Callable[..., Point]:
    return point


@pytest.fixture(scope="session")
def good_point(game: Instance, game_routes: RouteSet) -> Point:
    return point(game, game_routes)


def solve_dispatch(instance: Instance, t: int, s: int, load: Array) -> Any:
    """The operator's program at a load (M,), solved: `model.grid`, with duals in `model.dual`."""
    model = pyo.ConcreteModel()
    model.grid = distribution_block(instance, t, s)
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    for station, kw in zip(instance.stations, load, strict=True):
        model.grid.load[station.id].fix(float(kw))
    pyo.SolverFactory("appsi_highs").solve(model)
    return model


def point(instance: Instance, routes: RouteSet, shares: Array | None = None) -> Point:
    """A point that keeps every equation but (31): vehicles split over a pair's routes in fixed shares."""
    prices = np.array(
        [[0.5 * (m.price_min + m.price_max)] * len(instance.periods) for m in instance.stations]
    )
    share = np.ones(len(routes.routes)) if shares is None else shares.copy()
    for rows in routes.pair_rows:
        share[rows] = share[rows] / share[rows].sum()
    flows, served, residual = _forward(instance, routes, share)
    road_flow = routes.on_road.T @ flows
    times = road_time(instance, road_flow)
    load = routes.plan_kwh.T @ flows
    hours = np.where(routes.outside[:, None], 0.0, routes.on_road @ times + routes.charging_h[:, None])
    cost = instance.users.kappa_per_h * hours + routes.plan_kwh @ prices + routes.outside_cost[:, None]
    grid = _grid(instance, load)
    electricity = _electricity(instance, grid, load)
    demand = np.array([[instance.demand(p, t) for t in instance.periods] for p in instance.pairs])
    return Point(
        prices=prices,
        electricity_price=electricity,
        electricity_low=electricity.copy(),
        electricity_high=electricity.copy(),
        load_kw=load,
        routes=_used(instance, routes, flows, cost),
        road_flow=road_flow,
        road_time_h=times,
        demand=demand,
        modified_demand=served,
        residual=residual,
        profit=float(((prices - electricity) * load).sum() * instance.period_h),
        **grid,
    )


def _forward(instance: Instance, routes: RouteSet, share: Array) -> tuple[Array, Array, Array]:
    """Flows (R, T), modified demand and residual (N, T) for fixed shares, by a damped fixed point."""
    xi, rate, pairs = instance.users.xi, instance.residual_rate, len(instance.pairs)
    incoming = np.full(pairs, instance.users.initial_residual)
    flows, served, residual = [], [], []
    for period in instance.periods:
        right = np.array([instance.demand(p, period) for p in instance.pairs]) + xi * incoming
        total = right.copy()
        for _ in range(400):
            flow = share * total[routes.pair]
            hours = routes.on_road @ road_time(instance, routes.on_road.T @ flow) + routes.charging_h
            hours = np.where(routes.outside, 0.0, hours)
            mean = np.array([share[rows] @ hours[rows] for rows in routes.pair_rows])
            total = 0.5 * total + 0.5 * right / (1.0 + xi * rate * mean)
        incoming = rate * mean * total
        flows.append(share * total[routes.pair])
        served.append(total)
        residual.append(incoming)
    return np.array(flows).T, np.array(served).T, np.array(residual).T


def _grid(instance: Instance, load: Array) -> dict[str, Array]:
    scenarios, periods = range(len(instance.scenarios)), range(len(instance.periods))
    cells = [[_dispatch(instance, t, s, load[:, t]) for t in periods] for s in scenarios]
    return {name: np.array([[cell[name] for cell in row] for row in cells]) for name in cells[0][0]}


def _dispatch(instance: Instance, t: int, s: int, load: Array) -> dict[str, Any]:
    model = solve_dispatch(instance, t, s, load)
    grid, weight = model.grid, instance.scenarios[s].probability * instance.period_h
    factor = instance.periods[t].load_factor
    root = instance.feeder.root_voltage_pu
    buses, lines = instance.buses, instance.lines
    return {
        "voltage_pu": [math.sqrt(grid.v[b.id].value) if b.id in grid.v else root for b in buses],
        "price_active": [model.dual[grid.active_balance[b.id]] / weight for b in buses],
        "price_reactive": [model.dual[grid.reactive_balance[b.id]] / weight for b in buses],
        "shed_kw": [factor * b.load_kw * grid.shed[b.id].value if b.id in grid.shed else 0.0 for b in buses],
        "import_kw": grid.import_kw.value,
        "import_kvar": grid.import_kvar.value,
        "line_kw": [grid.flow_kw[line.id].value for line in lines],
        "line_kvar": [grid.flow_kvar[line.id].value for line in lines],
        "wind_kw": [grid.wind_kw[f.id].value for f in instance.wind_farms],
        "emergency_kw": [grid.emergency_kw[m.id].value for m in instance.stations],
    }


def _electricity(instance: Instance, grid: dict[str, Array], load: Array) -> Array:
    if instance.tariff_mode == "fixed":
        return fixed_prices(instance)
    if instance.tariff_mode == "regulated":
        return regulated_tariff(instance, load)
    price = np.zeros(load.shape)
    for m, station in enumerate(instance.stations):
        bus = instance.bus_index[station.bus]
        for s, scenario in enumerate(instance.scenarios):
            nodal = grid["price_active"][s, :, bus] + station.tan_phi * grid["price_reactive"][s, :, bus]
            price[m] += scenario.probability * nodal
    return price


def _used(instance: Instance, routes: RouteSet, flows: Array, cost: Array) -> tuple[RouteFlow, ...]:
    used = []
    for k, route in enumerate(routes.routes):
        pair = instance.pairs[route.pair]
        for t, period in enumerate(instance.periods):
            if flows[k, t] > 0.0:
                path = tuple(instance.roads[a].id for a in route.roads)
                plan = tuple((instance.stations[m].id, kwh) for m, kwh in route.plan)
                least = float(cost[routes.pair_rows[route.pair], t].min())
                amounts = float(flows[k, t]), float(cost[k, t]), least
                used.append(RouteFlow(*pair.key, period.id, path, plan, *amounts, route.outside))
    return tuple(used)


@pytest.fixture
def with_tariff(game: Instance) -> Callable[[str], Instance]:
    return lambda mode: replace(game, tariff_mode=mode)


@pytest.fixture(scope="session", name="solve_dispatch")
def _solve_dispatch() -> Callable[..., Any]:
    return solve_dispatch
