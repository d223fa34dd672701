"""Is a point a bilevel solution? Every condition evaluated, every follower solved again by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpec.bilevel import FollowerEntry
from mpec.linear_model import Array, LinearModel, Products
from mpec.optimiser import Optimiser
from mpec.reformulation import SingleLevel
from mpec.solvers import open_session

FEASIBLE = 1e-6
"""Relative violation up to which a row counts as satisfied."""

OPTIMAL = 1e-6
"""Relative distance of a follower's objective from its optimum, and target gap of the leader's."""


@dataclass(frozen=True)
class Check:
    name: str
    value: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.value <= self.tolerance


def evaluate(single: SingleLevel, x: Array) -> tuple[Check, ...]:
    """Leader's rows, KKT rows, signs, complementarity, and every follower solved again."""
    base = single.base
    checks = [Check("rows and bounds", _relative_violation(base, x), FEASIBLE)]
    worst = 0.0
    for pair in single.pairs:
        s, y = pair.slack.at(x), pair.multiplier.at(x)
        worst = max(worst, min(abs(s), abs(y)), -s, -y)
    checks.append(Check("complementarity", worst, FEASIBLE))
    for follower in single.problem.followers:
        checks.append(_follower_check(follower, x))
    return tuple(checks)


def _relative_violation(model: LinearModel, x: Array) -> float:
    """Largest violation of a row, bound, quadratic row or integrality, relative to its size."""
    act = model.activity(x)
    size = 1.0 + abs(model.matrix()) @ np.abs(x)
    worst = 0.0
    for low, value, high, scale in (
        (np.array(model.row_lower), act, np.array(model.row_upper), size),
        (np.array(model.lower), x, np.array(model.upper), 1.0 + np.abs(x)),
    ):
        if len(value):
            worst = max(worst, float(np.max((low - value) / scale)), float(np.max((value - high) / scale)))
    for row in model.quadratic_rows:
        scale_row = 1.0 + abs(row.at(x))
        worst = max(worst, (row.lower - row.at(x)) / scale_row, (row.at(x) - row.upper) / scale_row)
    whole = np.array(model.integer, dtype=bool)
    if whole.any():
        worst = max(worst, float(np.max(np.abs(x[whole] - np.round(x[whole])))))
    return worst


def _follower_check(follower: FollowerEntry, x: Array) -> Check:
    """How far the follower's objective at x lies from its optimum at the same given quantities."""
    name = f"optimality of {follower.optimiser.name}"
    p = x[follower.given]
    best = optimal_value(follower.optimiser, p)
    if best is None:
        return Check(name, math.inf, OPTIMAL)
    mine = follower.optimiser.value(x[follower.primal], p)
    return Check(name, abs(mine - best) / max(1.0, abs(best)), OPTIMAL)


def optimal_value(optimiser: Optimiser, p: Array) -> float | None:
    """min over x at given p (the minimised form), by HiGHS; None where it is infeasible or unbounded."""
    model = follower_model(optimiser, p)
    session = open_session(model, "highs")
    try:
        solved = session.solve()
    finally:
        session.close()
    return solved.objective if solved.status == "optimal" else None


def follower_model(optimiser: Optimiser, p: Array) -> LinearModel:
    """The follower's own problem at given p as a model."""
    model = LinearModel(optimiser.name)
    columns = model.add_variables(optimiser.columns, optimiser.lower, optimiser.upper)
    # Given quantities come from a solver: its rounding may not make the follower's problem infeasible.
    shift = optimiser.given_matrix @ p
    empty = np.diff(optimiser.matrix.indptr) == 0
    low = np.where(empty, -math.inf, optimiser.row_lower - shift)
    high = np.where(empty, math.inf, optimiser.row_upper - shift)
    model.add_rows(optimiser.rows, optimiser.matrix, columns, low, high)
    cost = np.array(optimiser.cost, dtype=float)
    if optimiser.cross is not None:
        cost = cost + optimiser.cross @ p
    model.cost = cost.tolist()
    model.constant = optimiser.value(np.zeros(len(optimiser.columns)), p)
    if optimiser.quadratic is not None:
        coo = optimiser.quadratic.tocoo()
        model.cost_products = Products(
            tuple(coo.row.tolist()), tuple(coo.col.tolist()), tuple((0.5 * coo.data).tolist())
        )
    return model
