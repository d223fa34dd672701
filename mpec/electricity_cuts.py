"""What one hour's electricity costs at least, without the operator's binaries.

The operator's optimal cost V(P) is convex in the stations' loads, the leader's bill is lambda.P with lambda
one of V's subgradients at P. So bill >= V(P) - V(0), and V from below by its tangents: rows in P alone.
This is exactly what the LP relaxation of the operator's KKT conditions gives, at a hundredth of its size;
where prices jump inside the hour's loads, the KKT conditions themselves are added (mpec.hour_dispatch).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from formulations.prices import owned
from mpec.followers.dispatch import DispatchSolver
from mpec.solvers import SolverError
from mpec.tolerances import BOUND_MARGIN

Array = np.ndarray


@dataclass(frozen=True)
class BillCut:
    """V(P) >= level + slope . P, money per period; ``load`` (M,) is where it touches."""

    load: Array
    level: float
    slope: Array


def bill_cut(solver: DispatchSolver, t: int, load: Array) -> BillCut:
    """The tangent of the operator's cost at ``load`` (M,) kW, lowered by a margin for rounding.

    Slope and level are added up from the rows' multipliers, which prove a bound whatever they are: for any y

        V(P) >= fixed + load cost . P + sum_i y_i (y_i > 0 ? lower_i : upper_i) - y_i B_i P + sum_j min(0, d_j) z_max_j,

    d = cost - A'y, z_max all loads together where a decision has no end. Wrong multipliers make it weak, never false.
    """
    load, period_h = np.maximum(np.asarray(load, float), 0.0), solver.instance.period_h
    level, slope, size = 0.0, np.zeros(len(load)), 0.0
    for s, scenario in enumerate(solver.instance.scenarios):
        weight = period_h * scenario.probability
        part, rise, terms = _proven(solver, t, s, load)
        level, slope, size = level + weight * part, slope + weight * rise, size + weight * terms
    size += float(np.abs(slope * load).sum())
    return BillCut(load, level - BOUND_MARGIN * (1.0 + size), slope)


def _proven(solver: DispatchSolver, t: int, s: int, load: Array) -> tuple[float, Array, float]:
    """Level, slope (M,) and the sum of the terms' sizes, money/h, that a scenario's multipliers at a load prove."""
    program, data = solver.program, solver.data(t, s)
    y = np.array(solver.scenario(t, s, load, interval=False).multiplier)
    side = np.where(y > 0.0, data.lower, data.upper)
    y, side = np.where(np.isfinite(side), y, 0.0), np.where(np.isfinite(side), side, 0.0)
    reduced = np.minimum(data.cost - program.rows.T @ y, 0.0)
    # Imports are >= 0: emergency supplies, which have no end of their own, give no more than all that is drawn.
    endless = np.isinf(data.upper_decision)
    cheapest = float(reduced[endless].min(initial=0.0))
    lost = reduced[~endless] * data.upper_decision[~endless]
    terms = np.concatenate([[data.fixed_cost], y * side, lost, [cheapest * data.base_p.sum()]])
    return float(terms.sum()), data.load_cost + cheapest - program.by_load.T @ y, float(np.abs(terms).sum())


def idle_cost(solver: DispatchSolver, t: int) -> float:
    """V(0) from above, money per period: what decisions that keep all rows cost. Raises SolverError for others.

    By what a solver's decisions miss rows and ends, they are made dearer at twice the multipliers.
    """
    value, nothing = 0.0, np.zeros(len(solver.instance.stations))
    # By itself: what was asked of the other one before decides which vertices it keeps.
    solver = DispatchSolver(solver.instance)
    for s, scenario in enumerate(solver.instance.scenarios):
        data, answer = solver.data(t, s), solver.scenario(t, s, nothing, interval=False)
        z, y = np.array(answer.decision), np.abs(answer.multiplier)
        activity = solver.program.rows @ z
        room = 1e-6 * (1.0 + np.abs(solver.program.rows) @ np.abs(z))
        outside = (z < -1e-6).any() or (z > data.upper_decision * (1.0 + 1e-6) + 1e-6).any()
        if outside or (activity < data.lower - room).any() or (activity > data.upper + room).any():
            raise SolverError("the operator's decisions without any station's load break a row")
        missed = np.maximum(np.maximum(data.lower - activity, activity - data.upper), 0.0)
        beyond = np.maximum(np.maximum(-z, z - data.upper_decision), 0.0)
        worth = y @ missed + (np.abs(data.cost) + np.abs(solver.program.rows).T @ y) @ beyond
        cost = data.fixed_cost + float(data.cost @ z) + 2.0 * float(worth)
        value += solver.instance.period_h * scenario.probability * cost
    return value + BOUND_MARGIN * (1.0 + abs(value))


def true_bill(solver: DispatchSolver, t: int, load: Array) -> float:
    """The leader's bill at ``load`` with the dual that suits it, money per period."""
    load = np.maximum(np.asarray(load, float), 0.0)
    price, _ = solver.prices(t, load[None])
    return float(solver.instance.period_h * (price[0] @ (owned(solver.instance) * load)))
