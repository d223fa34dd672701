"""Follower 1, the distribution system operator: one linear program per period and scenario, eqs. (4)-(13).

Given the stations' load P[m] (kW; the leader's prices and the users decide it), minimise the
probability-weighted operating cost of a radial feeder in linearised DistFlow:

    (4)   p_s dt [ c_e P_GD + c_ab (available - P_WT) + VOLL (shed + emergency) ]      money
    (5)   0 <= P_GD, Q_GD <= S_TG            (6)  |P_GD +- Q_GD| <= sqrt2 S_TG         kW, kvar
    (7)   supply - station load - outflow = base load, active;  (8) the same, reactive
    (9)   v_near - v_far = 2 (R P_line + X Q_line)                                     p.u., v squared
    (10)  |P_line|, |Q_line| <= S_l          (11) |P_line +- Q_line| <= sqrt2 S_l
    (12)  0 <= P_WT <= available             (13) Q_WT = P_WT tan(phi_WT)

With polygon "inner" S_l and S_TG are scaled by cos(pi/8), so that the octagon lies inside the circle.
Recourse keeps the program feasible for every P >= 0: a fraction of a bus's base load (kW and kvar
together) may be shed, and every station has an uncapped emergency supply at the station's power factor,
both at VOLL. Line flows are positive from the root outward, whatever the order of the ends in the file.

Sign of the duals: both balances are written "supply = demand", so with a minimising solver's convention
(dual = d cost / d right-hand side) the dual of `active_balance[b]` is lambda = d cost / d demand in money
per kW, and that of `reactive_balance[b]` is pi in money per kvar (table in formulations/README.md).
"""

from __future__ import annotations

import math
from typing import Any

import pyomo.environ as pyo

from formulations.dispatch_data import OBLIQUE_SIDES, DispatchData
from formulations.feasible_points import InteriorPoint, interior_points
from formulations.feeder_tree import FeederTree, feeder_tree
from instances.model import Instance

__all__ = ["InteriorPoint", "distribution_block", "electricity_price_weights", "interior_points"]


def distribution_block(instance: Instance, period_index: int, scenario_index: int) -> pyo.Block:
    """Follower 1: least-cost dispatch for one period and scenario, eqs. (4)-(13), a concrete block.

    Given:   load[m] station load, kW (listed in `block.given`, free unless the caller fixes it)
    Decides: import_kw, import_kvar, wind_kw[f], shed[b] in [0, 1], emergency_kw[m], flow_kw[l],
             flow_kvar[l], v[b] (p.u. squared; all buses but the root, whose voltage is a constant)
    Price:   duals of active_balance and reactive_balance, see `electricity_price_weights`

    Indices are the ids of the instance. A fraction of zero load is no decision: only buses with base load
    have shed[b]. Lines without rating have no octagon.
    Raises ValueError where the feeder is not radial, KeyError where wind data is missing.
    """
    data = DispatchData.of(instance, period_index, scenario_index)
    tree = feeder_tree(instance)
    block = pyo.Block(concrete=True)
    _given_loads(block, instance)
    _substation_limits(block, instance, data)  # (5), (6)
    _wind(block, instance, data)  # (12), (13)
    _recourse(block, instance, data)
    _line_limits(block, instance, data)  # (10), (11)
    _active_balance(block, instance, tree, data)  # (7)
    _reactive_balance(block, instance, tree, data)  # (8)
    _voltage_drop(block, instance, tree, data)  # (9)
    _operating_cost(block, data)  # (4)
    return block


def electricity_price_weights(instance: Instance, station_index: int) -> tuple[str, float, float]:
    """(bus id, 1/dt, tan(phi)/dt): c[m,t] = 1/dt sum_s lambda[s,bus] + tan(phi)/dt sum_s pi[s,bus].

    lambda, pi are the duals of the probability-weighted programs, money per kW and kvar; c is money/kWh.
    """
    station = instance.stations[station_index]
    return station.bus, 1.0 / instance.period_h, station.tan_phi / instance.period_h


def _given_loads(block: pyo.Block, instance: Instance) -> None:
    block.load = pyo.Var(
        [station.id for station in instance.stations],
        domain=pyo.NonNegativeReals,
        doc="given: station load P[m], kW",
    )
    block.given = [block.load]


def _substation_limits(block: pyo.Block, instance: Instance, data: DispatchData) -> None:
    """(5) the box, (6) the oblique side; kW and kvar drawn from the grid above."""
    s = data.substation_kva
    block.import_kw = pyo.Var(bounds=(0.0, s), doc="(5) power drawn at the root P_GD, kW")
    # Where nothing takes or gives kvar, (8) alone makes Q_GD = 0. The row Q_GD >= 0 would then only leave
    # its own multiplier and pi without any bound.
    some_kvar = (
        any(data.base_kvar.values())
        or any(station.tan_phi for station in instance.stations)
        or any(farm.tan_phi for farm in instance.wind_farms)
    )
    block.import_kvar = pyo.Var(
        bounds=(0.0 if some_kvar else None, s), doc="(5) reactive power drawn at the root Q_GD, kvar"
    )
    # The other three oblique sides are implied by the box: both powers are non-negative.
    block.substation_octagon = pyo.Constraint(
        expr=block.import_kw + block.import_kvar <= math.sqrt(2.0) * s,
        doc="(6) P_GD + Q_GD <= sqrt2 S_TG, kVA; the sides that the box (5) implies are left out",
    )


def _wind(block: pyo.Block, instance: Instance, data: DispatchData) -> None:
    """(12) wind between nothing and what is available; (13) its kvar at the farm's power factor."""
    block.wind_kw = pyo.Var(
        [farm.id for farm in instance.wind_farms],
        bounds=lambda b, f: (0.0, data.available_kw[f]),
        doc="(12) wind power used P_WT[f], kW",
    )
    tan_phi = {farm.id: farm.tan_phi for farm in instance.wind_farms}
    block.wind_kvar = pyo.Expression(
        [farm.id for farm in instance.wind_farms],
        rule=lambda b, f: tan_phi[f] * b.wind_kw[f],
        doc="(13) reactive wind power Q_WT[f] = P_WT[f] tan(phi_WT), kvar",
    )


def _recourse(block: pyo.Block, instance: Instance, data: DispatchData) -> None:
    block.shed = pyo.Var(
        data.shedding_buses, bounds=(0.0, 1.0), doc="fraction of the bus's base load (kW and kvar) shed"
    )
    block.emergency_kw = pyo.Var(
        [station.id for station in instance.stations],
        domain=pyo.NonNegativeReals,
        doc="emergency supply at the station, kW, with the station's power factor",
    )


def _line_limits(block: pyo.Block, instance: Instance, data: DispatchData) -> None:
    """(10) the box, (11) the oblique sides, for lines that have a rating."""
    ids = [line.id for line in instance.lines]

    def oblique(b: pyo.Block, line: str, side: str) -> Any:
        p_sign, q_sign = OBLIQUE_SIDES[side]
        power = p_sign * b.flow_kw[line] + q_sign * b.flow_kvar[line]
        return power <= math.sqrt(2.0) * data.line_kva[line]

    def box(b: pyo.Block, line: str) -> tuple[float | None, float | None]:
        s = data.line_kva.get(line)
        return (None, None) if s is None else (-s, s)

    block.flow_kw = pyo.Var(ids, bounds=box, doc="(10) line power P_line[l] from the root outward, kW")
    block.flow_kvar = pyo.Var(ids, bounds=box, doc="(10) line reactive power Q_line[l] outward, kvar")
    block.line_octagon = pyo.Constraint(
        list(data.line_kva),
        list(OBLIQUE_SIDES),
        rule=lambda b, line, k: (
            OBLIQUE_SIDES[k][0] * b.flow_kw[line] + OBLIQUE_SIDES[k][1] * b.flow_kvar[line]
            <= math.sqrt(2.0) * data.line_kva[line]
        ),
        doc="(11) |P_line +- Q_line| <= sqrt2 S_l, kVA",
    )


def _outward(instance: Instance, tree: FeederTree, bus: str, flow: Any) -> Any:
    """What the bus sends on to its children minus what it gets from its parent."""
    b, lines = instance.bus_index[bus], instance.lines
    sent = sum(flow[lines[i].id] for i in tree.children[b])
    received = flow[lines[tree.parent_line[b]].id] if tree.parent_line[b] >= 0 else 0.0
    return sent - received


def _active_balance(block: pyo.Block, instance: Instance, tree: FeederTree, data: DispatchData) -> None:
    """(7) at every bus: import + wind + shed + emergency - station load - outflow = base load, kW."""

    def rule(b: pyo.Block, bus: str) -> Any:
        imported = b.import_kw if bus == instance.feeder.root_bus else 0.0
        wind = sum(b.wind_kw[f.id] for f in instance.wind_farms if f.bus == bus)
        shed = data.base_kw[bus] * b.shed[bus] if bus in b.shed else 0.0
        stations = [m for m in instance.stations if m.bus == bus]
        charging = sum(b.emergency_kw[m.id] - b.load[m.id] for m in stations)
        outflow = _outward(instance, tree, bus, b.flow_kw)
        return imported + wind + shed + charging - outflow == data.base_kw[bus]

    block.active_balance = pyo.Constraint(
        [bus.id for bus in instance.buses], rule=rule, doc="(7) active power balance of the bus, kW"
    )


def _reactive_balance(block: pyo.Block, instance: Instance, tree: FeederTree, data: DispatchData) -> None:
    """(8) as (7) in kvar; a station consumes and its emergency supply gives P tan(phi)."""

    def rule(b: pyo.Block, bus: str) -> Any:
        imported = b.import_kvar if bus == instance.feeder.root_bus else 0.0
        wind = sum(b.wind_kvar[f.id] for f in instance.wind_farms if f.bus == bus)
        shed = data.base_kvar[bus] * b.shed[bus] if bus in b.shed else 0.0
        stations = [m for m in instance.stations if m.bus == bus]
        charging = sum(m.tan_phi * (b.emergency_kw[m.id] - b.load[m.id]) for m in stations)
        outflow = _outward(instance, tree, bus, b.flow_kvar)
        return imported + wind + shed + charging - outflow == data.base_kvar[bus]

    block.reactive_balance = pyo.Constraint(
        [bus.id for bus in instance.buses], rule=rule, doc="(8) reactive power balance of the bus, kvar"
    )


def _voltage_drop(block: pyo.Block, instance: Instance, tree: FeederTree, data: DispatchData) -> None:
    """(9) along every line, v squared p.u.; limits vmin^2 <= v <= vmax^2 are the variables' bounds."""
    block.v = pyo.Var(
        [bus.id for bus in instance.buses if bus.id != instance.feeder.root_bus],
        bounds=lambda b, bus: (data.v_min[bus], data.v_max[bus]),
        initialize=data.root_v,
        doc="squared voltage magnitude of the bus, p.u.; the root's is a constant",
    )

    def rule(b: pyo.Block, line: str) -> Any:
        near, far = (instance.buses[end[position[line]]].id for end in (tree.near, tree.far))
        v_near = data.root_v if near == instance.feeder.root_bus else b.v[near]
        drop = data.r_pu_per_kw[line] * b.flow_kw[line] + data.x_pu_per_kvar[line] * b.flow_kvar[line]
        return v_near - b.v[far] - 2.0 * drop == 0.0

    position = {line.id: i for i, line in enumerate(instance.lines)}
    block.voltage_drop = pyo.Constraint(
        [line.id for line in instance.lines],
        rule=rule,
        doc="(9) v_near - v_far = 2 (R P_line + X Q_line), p.u.",
    )


def _operating_cost(block: pyo.Block, data: DispatchData) -> None:
    curtailed = sum(data.available_kw[f] - block.wind_kw[f] for f in block.wind_kw)
    shed = sum(data.base_kw[bus] * block.shed[bus] for bus in block.shed)
    emergency = sum(block.emergency_kw[m] for m in block.emergency_kw)
    block.operating_cost = pyo.Objective(
        expr=data.weight
        * (
            data.import_price * block.import_kw
            + data.curtailment_price * curtailed
            + data.voll * (shed + emergency)
        ),
        doc="(4) expected operating cost of this scenario: probability times money",
    )
