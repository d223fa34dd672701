"""Where the operator's optimal duals are not unique: the extremes of the prices over the optimal dual face.

With the tight limits at an optimum (rows and decisions, coefficients N) the optimal duals are

    { y : N' y = cost,  y >= 0 on lower limits, y <= 0 on upper limits },

and the price of station m is load_cost - sum_i by_load[i, m] y_i: small linear programs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mpec.linear_model import LinearModel
from mpec.solvers import SolverError, open_session

Array = np.ndarray[Any, Any]


def extreme_prices(
    names: list[str],
    tight: Array,
    at_lower: Array,
    at_upper: Array,
    cost: Array,
    effect: Array,
    load: Array,
    *,
    favour: int,
    interval: bool,
    solver: str,
    label: str,
) -> tuple[Array, Array, Array]:
    """Chosen duals (n,) of the tight limits, and each station's least and largest price less the load cost.

    names, at_lower, at_upper (n,), tight (n, Z): the tight limits and their coefficients on the decisions;
    cost (Z,); effect (M, n): change of the prices by the duals; load (M,), kW, 0 at rivals' stations, whose bill
    isn't the leader's. favour +1: the duals whose
    bill effect . load is least, -1: largest, 0: any. Without ``interval`` the prices returned are those of
    the chosen duals. A price without limit (a station without load where no less load is feasible) is inf.
    Raises SolverError, naming ``label``, where a program fails.
    """
    model = LinearModel(name="dual_face")
    for name, low, high in zip(names, at_lower, at_upper, strict=True):
        model.add_variable(name, -math.inf if high else 0.0, math.inf if low else 0.0)
    columns = np.arange(len(names))
    for j, value in enumerate(cost):
        model.add_row(f"decision[{j}]", columns, tight[:, j], float(value), float(value))
    session = open_session(model, solver)

    def extreme(weights: Array, maximise: bool) -> Array | None:
        """The face's point that is extreme in weights . price; None where nothing limits it."""
        session.set_objective(weights @ effect, maximise=maximise)
        solved = session.solve()
        if solved.status == "unbounded":
            return None
        if solved.status != "optimal" or solved.x is None:
            raise SolverError(
                f"the optimal duals of {label} could not be found ({solved.status}); "
                "the data of feeder and loads span too many orders of magnitude"
            )
        return solved.x

    def end(m: int, maximise: bool) -> float:
        found = extreme(np.eye(len(load))[m], maximise)
        if found is None:
            return math.inf if maximise else -math.inf
        return float(effect[m] @ found)

    # A bill of nothing leaves the choice open; then the sum of the prices decides, if it has a limit: where
    # a source can't be turned down any further, a little less load would be infeasible, and the price of a
    # station without load may be anything downwards. That costs nobody anything.
    weights = load if load.any() else np.ones(len(load))
    chosen = extreme(weights if favour else np.zeros(len(load)), favour < 0)
    if chosen is None and not load.any():
        chosen = extreme(np.zeros(len(load)), False)
    if chosen is None:
        raise SolverError(
            f"the bill of {label} has no limit; "
            "the data of feeder and loads span too many orders of magnitude"
        )
    low = high = effect @ chosen
    if interval:
        low = np.minimum([end(m, False) for m in range(len(load))], low)
        high = np.maximum([end(m, True) for m in range(len(load))], high)
    session.close()
    return chosen, low, high
