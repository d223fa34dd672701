"""Charging plans on one path as a Pyomo block, eqs. (16)-(21) and (30).

With e the energy on board [kWh], node by node along the path of O-D pair rs:

    (16)  the vehicle starts with initial_kwh
    (17)  arrival: e[i] = energy after the node before - consumption of the road between
    (18)  departure: e'[i] = e[i] + sum of h[m] over the stations at the node; both within [min_kwh, max_kwh]
    (19)  at the destination, after charging, at least final_kwh
    (20)  0 <= h[m] <= pile_kw[m] * 1 h         (21)  h[m] = 0 where the station is unavailable
    (30)  charging time h[m] / pile_kw[m], h

The product uses the vertices of this polytope (`charging_plan.plan_vertices`); the block states the
equations, for reading and as the other side of a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo

from formulations.charging_plan import LONGEST_STOP_H
from instances.model import Instance, Pair


def plan_block(instance: Instance, pair: Pair, roads: Sequence[int]) -> pyo.Block:
    """The plans of one pair on one path (road indices in driving order), a concrete block.

    Decides: charged_kwh[m] by station id (stations at the nodes after the origin), arrival_kwh[i] and
    departure_kwh[i] after the i-th road, i = 1 ... n.
    """
    block = pyo.Block(concrete=True)
    path = [instance.roads[road] for road in roads]
    steps = list(range(1, len(path) + 1))
    at_step = {i: [m for m in instance.stations if m.node == path[i - 1].to_node] for i in steps}
    passed = {station.id: station for i in steps for station in at_step[i]}

    def limit(b: pyo.Block, m: str) -> tuple[float, float]:
        return 0.0, passed[m].pile_kw * LONGEST_STOP_H if passed[m].available else 0.0

    block.charged_kwh = pyo.Var(
        list(passed),
        bounds=limit,
        doc="(20) energy taken at the station h[m], kWh, at most what a stop of 1 h gives; (21) 0 where "
        "unavailable",
    )
    box = (pair.min_kwh, pair.max_kwh)
    block.arrival_kwh = pyo.Var(steps, bounds=box, doc="(17) energy on arrival within the battery, kWh")
    block.departure_kwh = pyo.Var(steps, bounds=box, doc="(18) energy on departure within the battery, kWh")

    def drive(b: pyo.Block, i: int) -> Any:
        before = pair.initial_kwh if i == 1 else b.departure_kwh[i - 1]
        return b.arrival_kwh[i] == before - path[i - 1].energy_kwh

    block.driving = pyo.Constraint(
        steps, rule=drive, doc="(16), (17) energy from the initial one on, minus the roads' consumption, kWh"
    )
    block.charging = pyo.Constraint(
        steps,
        rule=lambda b, i: (
            b.departure_kwh[i] == b.arrival_kwh[i] + sum(b.charged_kwh[m.id] for m in at_step[i])
        ),
        doc="(18) energy after charging at the node, kWh",
    )
    block.final_energy = pyo.Constraint(
        expr=block.departure_kwh[steps[-1]] >= pair.final_kwh,
        doc="(19) energy wanted at the destination, after charging there, kWh",
    )
    block.charging_h = pyo.Expression(
        list(passed),
        rule=lambda b, m: b.charged_kwh[m] / passed[m].pile_kw,
        doc="(30) charging time h[m] / pile_kw[m], h",
    )
    return block
