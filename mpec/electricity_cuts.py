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
from mpec.tolerances import BOUND_MARGIN

Array = np.ndarray


@dataclass(frozen=True)
class BillCut:
    """V(P) >= level + slope . P, money per period; ``load`` (M,) is where it touches."""

    load: Array
    level: float
    slope: Array


def bill_cut(solver: DispatchSolver, t: int, load: Array) -> BillCut:
    """The tangent of the operator's cost at ``load`` (M,) kW, lowered by a margin for rounding."""
    load = np.maximum(np.asarray(load, float), 0.0)
    price, cost = solver.prices(t, load[None])
    slope = solver.instance.period_h * price[0]
    value = solver.instance.period_h * float(cost[0])
    size = abs(value) + float(np.abs(slope * load).sum())
    return BillCut(load, value - float(slope @ load) - BOUND_MARGIN * (1.0 + size), slope)


def idle_cost(solver: DispatchSolver, t: int) -> float:
    """V(0) from above, money per period."""
    stations = len(solver.instance.stations)
    value = solver.instance.period_h * float(solver.prices(t, np.zeros((1, stations)))[1][0])
    return value + BOUND_MARGIN * (1.0 + abs(value))


def true_bill(solver: DispatchSolver, t: int, load: Array) -> float:
    """The leader's bill at ``load`` with the dual that suits it, money per period."""
    load = np.maximum(np.asarray(load, float), 0.0)
    price, _ = solver.prices(t, load[None])
    return float(solver.instance.period_h * (price[0] @ (owned(solver.instance) * load)))
