"""The whole game as a Pyomo model, evaluated at points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

import formulations
from formulations.ev_users import pair_name
from formulations.routes import RouteSet
from instances.model import Instance
from mpec.equilibrium import Point


def load(model: Any, instance: Instance, routes: RouteSet, point: Point) -> None:
    """Put a point into the model's variables."""
    index = {
        (
            r.pair,
            tuple(instance.roads[a].id for a in r.roads),
            tuple((instance.stations[m].id, h) for m, h in r.plan),
        ): k
        for k, r in enumerate(routes.routes)
    }
    for t, period in enumerate(instance.periods):
        users = model.users[period.id]
        users.flow.set_values(dict.fromkeys(users.flow, 0.0))
        incoming = point.residual[:, t - 1] if t else [instance.users.initial_residual] * len(instance.pairs)
        for n, pair in enumerate(instance.pairs):
            rs = pair_name(*pair.key)
            users.modified_demand[rs].set_value(point.modified_demand[n, t])
            users.residual[rs].set_value(point.residual[n, t])
            users.incoming_residual[rs].set_value(incoming[n])
        for m, station in enumerate(instance.stations):
            key = station.id, period.id
            users.charging_price[station.id].set_value(point.prices[m, t])
            model.leader.charging_price[key].set_value(point.prices[m, t])
            model.leader.electricity_price[key].set_value(point.electricity_price[m, t])
            model.tariff.electricity_price[key].set_value(point.electricity_price[m, t])
            model.leader.load[key].set_value(point.load_kw[m, t])
            for s in instance.scenarios:
                model.distribution[s.id, period.id].load[station.id].set_value(point.load_kw[m, t])
        for s, scenario in enumerate(instance.scenarios):
            load_grid(model, instance, point, s, t, scenario.id, period.id)
    for route in point.routes:
        users = model.users[route.period]
        k = index[instance.pair_index[route.origin, route.destination], route.path, route.plan]
        users.flow[k].set_value(route.veh_per_h)
        rs = pair_name(route.origin, route.destination)
        users.cheapest_cost[rs].set_value(route.cheapest_cost)


def load_grid(
    model: Any, instance: Instance, point: Point, s: int, t: int, scenario: str, period: int
) -> None:
    grid = model.distribution[scenario, period]
    weight = instance.scenarios[s].probability * instance.period_h
    grid.import_kw.set_value(point.import_kw[s, t])
    grid.import_kvar.set_value(point.import_kvar[s, t])
    for b, bus in enumerate(instance.buses):
        if bus.id in grid.v:
            grid.v[bus.id].set_value(point.voltage_pu[s, t, b] ** 2)
        if bus.id in grid.shed:
            base = bus.load_kw * instance.periods[t].load_factor
            grid.shed[bus.id].set_value(point.shed_kw[s, t, b] / base)
        if instance.tariff_mode == "dlmp":
            model.tariff.price_active[scenario, period, bus.id].set_value(
                point.price_active[s, t, b] * weight
            )
            model.tariff.price_reactive[scenario, period, bus.id].set_value(
                point.price_reactive[s, t, b] * weight
            )
    for index, line in enumerate(instance.lines):
        grid.flow_kw[line.id].set_value(point.line_kw[s, t, index])
        grid.flow_kvar[line.id].set_value(point.line_kvar[s, t, index])
    for f, farm in enumerate(instance.wind_farms):
        grid.wind_kw[farm.id].set_value(point.wind_kw[s, t, f])
    for m, station in enumerate(instance.stations):
        grid.emergency_kw[station.id].set_value(point.emergency_kw[s, t, m])


def violations(model: Any) -> dict[str, float]:
    """The largest violation of each family of rows and bounds, absolute."""
    found: dict[str, float] = {}
    for row in model.component_data_objects(pyo.Constraint):
        if row.active:
            name = row.parent_component().local_name
            found[name] = max(found.get(name, 0.0), -row.slack())
    for variable in model.component_data_objects(pyo.Var):
        if variable.value is None:
            continue
        name = variable.parent_component().local_name
        for gap in (
            variable.lb - variable.value if variable.lb is not None else 0.0,
            variable.value - variable.ub if variable.ub is not None else 0.0,
        ):
            found[name] = max(found.get(name, 0.0), gap)
    return found


@pytest.fixture(scope="module")
def built(game: Instance, game_routes: RouteSet) -> Any:
    return formulations.build(game, game_routes)


@pytest.mark.parametrize("mode", ["dlmp", "fixed"])
def test_a_point_that_keeps_the_equations_keeps_the_models_rows(
    with_tariff: Callable[[str], Instance], game_routes: RouteSet, point_of: Callable[..., Point], mode: str
) -> None:
    instance = with_tariff(mode)
    model, point = formulations.build(instance, game_routes), point_of(instance, game_routes)
    load(model, instance, game_routes, point)
    broken = {name: value for name, value in violations(model).items() if value > 1e-9}
    # Equal shares are no equilibrium: only the complementarity rows may be broken, and they are.
    assert set(broken) <= {"c", "wardrop", "wardrop_expr"}, broken
    assert pyo.value(model.leader.profit) == pytest.approx(point.profit, rel=1e-12)
    for t, period in enumerate(instance.periods):
        users = model.users[period.id]
        for a, road in enumerate(instance.roads):
            assert pyo.value(users.road_time[road.id]) == pytest.approx(point.road_time_h[a, t], rel=1e-14)
        costs = [r.cost for r in point.routes if r.period == period.id]
        used = [k for k in users.flow if users.flow[k].value > 0.0]
        assert [pyo.value(users.cost[k]) for k in used] == pytest.approx(costs, rel=1e-14)


@pytest.mark.parametrize(
    ("component", "family"),
    [
        (lambda m: m.users[8].flow[1], "demand_served"),
        (lambda m: m.users[7].residual["o>d"], "residual_flow"),
        (lambda m: m.users[7].modified_demand["o>d"], "demand_conservation"),
        (lambda m: m.users[8].incoming_residual["o>d"], "residual_to_next_period"),
        (lambda m: m.distribution["windy", 8].load["B"], "load_to_grid"),
        (lambda m: m.leader.load["B", 8], "load_to_leader"),
        (lambda m: m.users[8].charging_price["A"], "price_to_users"),
        (lambda m: m.leader.electricity_price["A", 8], "electricity_price_to_leader"),
        (lambda m: m.tariff.price_active["calm", 7, "3"], "nodal_price"),
        (lambda m: m.distribution["calm", 7].v["4"], "voltage_drop"),
        (lambda m: m.distribution["calm", 7].import_kvar, "reactive_balance"),
    ],
)
def test_a_shifted_value_breaks_its_own_row(
    built: Any, game: Instance, game_routes: RouteSet, good_point: Point, component: Any, family: str
) -> None:
    load(built, game, game_routes, good_point)
    component(built).value += 0.01
    assert violations(built)[family] > 1e-4


def test_duals_are_tied_to_the_balances_of_their_bus(built: Any) -> None:
    row = built.dual_of[built.tariff.price_active["windy", 8, "3"]]
    assert row is built.distribution["windy", 8].active_balance["3"]
    row = built.dual_of[built.tariff.price_reactive["calm", 7, "2"]]
    assert row is built.distribution["calm", 7].reactive_balance["2"]


def test_wardrop_is_a_complementarity_for_every_route(built: Any, game_routes: RouteSet) -> None:
    assert len(built.users[7].wardrop) == len(game_routes.routes)


def test_objectives_belong_to_leader_and_grid(built: Any) -> None:
    senses = {o.parent_block().name: o.sense for o in built.component_data_objects(pyo.Objective)}
    assert senses.pop("leader") == pyo.maximize
    assert len(senses) == 4
    assert set(senses.values()) == {pyo.minimize}


def test_a_pair_without_trips_is_no_obstacle(game: Instance, game_routes: RouteSet) -> None:
    quiet = replace(game, trips={}, users=replace(game.users, initial_residual=0.0))
    model = formulations.build(quiet, game_routes)
    model.users[7].flow.set_values(dict.fromkeys(model.users[7].flow, 0.0))
    assert pyo.value(model.users[7].station_load["A"]) == 0.0
    assert pyo.value(model.users[7].road_time["oa"]) == pytest.approx(0.2)
    assert np.isclose(pyo.value(model.users[7].node_flow["d"]), 0.0)
