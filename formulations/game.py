"""The whole game as one Pyomo model, to be read from top to bottom: leader, users, grid, tariff, links.

The model states the bilevel game: the leader's objective at the top, each follower program with its own
objective in its sub-block, and the users' equilibrium as complementarity conditions. No solver takes it
as it stands. `mpec` turns the followers into optimality conditions; the tests evaluate the model at points.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from formulations.distribution import distribution_block
from formulations.ev_users import users_block
from formulations.evcs import evcs_block
from formulations.routes import RouteSet, route_set
from formulations.tariff import tariff_block
from instances.model import Instance


def build(instance: Instance, routes: RouteSet | None = None) -> pyo.ConcreteModel:
    """The game of an instance; without ``routes`` the route set is enumerated (or the declared one).

    Sub-blocks, t = period label, s = scenario id:
        leader               evcs_block                (1)-(3)
        users[t]             users_block               (15), (22)-(31)
        distribution[s,t]    distribution_block        (4)-(13)
        tariff               tariff_block              the electricity price, deviation from (4)
    Equality rows carry each player's decision to where it is given. Errors as in the blocks.
    """
    routes = routes if routes is not None else route_set(instance)
    model = pyo.ConcreteModel(name=instance.name)
    _players(model, instance, routes)
    _link_prices(model, instance)
    _link_loads(model, instance)
    _link_residuals(model, instance)
    _link_duals(model, instance)
    return model


def _players(model: pyo.ConcreteModel, instance: Instance, routes: RouteSet) -> None:
    periods = {period.id: t for t, period in enumerate(instance.periods)}
    scenarios = {scenario.id: s for s, scenario in enumerate(instance.scenarios)}
    model.leader = evcs_block(instance)
    model.users = pyo.Block(
        list(periods),
        rule=lambda block, t: users_block(instance, routes, periods[t]),
        doc="follower 2: EV users, a Wardrop equilibrium per period, (15), (22)-(31)",
    )
    model.distribution = pyo.Block(
        list(scenarios),
        list(periods),
        rule=lambda block, s, t: distribution_block(instance, periods[t], scenarios[s]),
        doc="follower 1: the distribution system operator, (4)-(13)",
    )
    model.tariff = tariff_block(instance)


def _link_prices(model: pyo.ConcreteModel, instance: Instance) -> None:
    keys = list(model.leader.charging_price)
    model.price_to_users = pyo.Constraint(
        keys,
        rule=lambda m, i, t: m.users[t].charging_price[i] == m.leader.charging_price[i, t],
        doc="users see the leader's prices",
    )
    model.electricity_price_to_leader = pyo.Constraint(
        keys,
        rule=lambda m, i, t: m.leader.electricity_price[i, t] == m.tariff.electricity_price[i, t],
        doc="the leader pays the tariff's price",
    )


def _link_loads(model: pyo.ConcreteModel, instance: Instance) -> None:
    keys = list(model.leader.load)
    model.load_to_leader = pyo.Constraint(
        keys,
        rule=lambda m, i, t: m.leader.load[i, t] == m.users[t].station_load[i],
        doc="the leader sells what users charge",
    )
    model.load_to_grid = pyo.Constraint(
        [scenario.id for scenario in instance.scenarios],
        keys,
        rule=lambda m, s, i, t: m.distribution[s, t].load[i] == m.users[t].station_load[i],
        doc="every scenario of the grid serves what users charge",
    )
    if instance.tariff_mode == "regulated":
        model.load_to_tariff = pyo.Constraint(
            keys,
            rule=lambda m, i, t: m.tariff.load[i, t] == m.users[t].station_load[i],
            doc="the regulated tariff is set on what users charge",
        )


def _link_residuals(model: pyo.ConcreteModel, instance: Instance) -> None:
    before = {b.id: a.id for a, b in zip(instance.periods, instance.periods[1:], strict=False)}

    def rule(m: pyo.ConcreteModel, t: int, rs: str) -> Any:
        arrived = m.users[before[t]].residual[rs] if t in before else instance.users.initial_residual
        return m.users[t].incoming_residual[rs] == arrived

    first = instance.periods[0].id
    model.residual_to_next_period = pyo.Constraint(
        [period.id for period in instance.periods],
        list(model.users[first].residual),
        rule=rule,
        doc="who is still on the way arrives in the next period",
    )


def _link_duals(model: pyo.ConcreteModel, instance: Instance) -> None:
    """Say which rows' duals the nodal prices are: `model.dual_of[variable]` is the constraint.

    A dual is no expression of a Pyomo model, so this link is a map; optimality conditions make it a row.
    """
    model.dual_of = pyo.ComponentMap()
    if instance.tariff_mode != "dlmp":
        return
    for s, t, bus in model.tariff.price_active:
        grid = model.distribution[s, t]
        model.dual_of[model.tariff.price_active[s, t, bus]] = grid.active_balance[bus]
        model.dual_of[model.tariff.price_reactive[s, t, bus]] = grid.reactive_balance[bus]
