"""Residual flow: who is still on the way when the period ends, eqs. (24) and (26).

    (24)  r[rs,t] = sum_k w[k,t] c0[k,t] / tau = eta sum_k w[k,t] T_k          veh/h, eta = kappa / tau [1/h]
    (26)  Wmod[rs,t] = W[rs,t] + xi r[rs,t-1] - xi r[rs,t]                     veh/h

c0 is money, so tau is money: kappa dt by default, and then r is vehicle-hours per period length, also at
kappa = 0. With (23) this is sum_k w[k] (1 + xi eta T_k) = W + xi r[t-1]: a period needs only the residual
that arrives, and Wmod > 0 if and only if the right side is.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from formulations.routes import RouteSet
from instances.model import Instance


def add_residual_flow(block: pyo.Block, instance: Instance, routes: RouteSet, period_index: int) -> None:
    """Add residual[rs] with (24) and (26) to a users' block, which has flow, time_h and modified_demand."""
    period, xi, rate = instance.periods[period_index], instance.users.xi, instance.residual_rate
    names = list(block.modified_demand)
    position = {rs: i for i, rs in enumerate(names)}
    block.residual = pyo.Var(
        names, domain=pyo.NonNegativeReals, doc="(24) residual flow r[rs] at the period's end, veh/h"
    )

    def on_the_way(b: pyo.Block, rs: str) -> Any:
        rows = [int(k) for k in routes.pair_rows[position[rs]] if not routes.outside[k]]
        return b.residual[rs] == rate * sum((b.flow[k] * b.time_h[k] for k in rows), start=0.0)

    block.residual_flow = pyo.Constraint(
        names, rule=on_the_way, doc="(24) r = sum of w c0 / tau, vehicle-hours on the way times kappa / tau"
    )

    def conservation(b: pyo.Block, rs: str) -> Any:
        demand = instance.demand(instance.pairs[position[rs]], period)
        return b.modified_demand[rs] == demand + xi * b.incoming_residual[rs] - xi * b.residual[rs]

    block.demand_conservation = pyo.Constraint(
        names,
        rule=conservation,
        doc="(26) modified demand: what starts, plus residual in, minus residual out",
    )
