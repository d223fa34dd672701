"""Linear programs over the followers' answers: safe least values, loads' ranges, and models joined side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpec.linear_model import LinearModel
from mpec.solvers import HighsSession, safe_bound
from mpec.worst_users import UsersPolytope

Array = np.ndarray


@dataclass(frozen=True)
class Least:
    """A safe lower bound on a linear program and its solution (None where the solver's is not feasible)."""

    bound: float
    x: Array | None


class Unsolved(ArithmeticError):
    """The solver gave no answer to a linear program."""


def minimise(model: LinearModel, columns: Array, cost: Array) -> Least | None:
    """min cost . x[columns]; None if infeasible. Raises Unsolved when the solver fails."""
    vector = np.zeros(model.columns)
    np.add.at(vector, columns, cost)
    session = HighsSession(model)
    try:
        session.set_objective(vector, maximise=False)
        solved = session.solve()
    finally:
        session.close()
    if solved.status == "infeasible":
        return None
    if solved.status != "optimal" or solved.row_duals is None:
        raise Unsolved(f"a linear program over the followers' answers ended {solved.status}")
    bound = safe_bound(model, solved.row_duals, vector, maximise=False)
    if not math.isfinite(bound) and solved.objective is not None and solved.x is not None:
        # A free column's reduced cost is not exactly 0: the solver's own optimum with a margin.
        bound = solved.objective - 1e-7 * max(1.0, float(np.abs(vector) @ np.abs(solved.x)))
    return Least(bound, solved.x)


def load_range(part: UsersPolytope) -> tuple[Array, Array]:
    """Least and largest P (M,) over a polytope, kW, outward."""
    low, high = np.zeros(len(part.load)), np.zeros(len(part.load))
    for m, column in enumerate(part.load):
        least = minimise(part.model, np.array([column]), np.array([1.0]))
        most = minimise(part.model, np.array([column]), np.array([-1.0]))
        if least is None or most is None:
            raise ArithmeticError("no answer of the users respects the stations' capacities")
        low[m], high[m] = max(least.bound, 0.0), max(-most.bound, 0.0)
    return low, np.maximum(high, low)


def total_range(part: UsersPolytope) -> tuple[float, float]:
    """Least and largest sum of all loads over a polytope, kW, outward."""
    ones = np.ones(len(part.load))
    least, most = minimise(part.model, part.load, ones), minimise(part.model, part.load, -ones)
    if least is None or most is None:
        raise ArithmeticError("no answer of the users respects the stations' capacities")
    return least.bound, max(-most.bound, least.bound)


def set_box(model: LinearModel, load: Array, low: Array, high: Array) -> None:
    for column, a, b in zip(load, low, high, strict=True):
        model.lower[column] = max(model.lower[column], float(a))
        model.upper[column] = max(min(model.upper[column], float(b)), model.lower[column])


def append(whole: LinearModel, part: LinearModel, label: str) -> Array:
    """Copy a model's columns and rows into another; the new columns."""
    columns = whole.add_variables([f"{n}{label}" for n in part.column_names], part.lower, part.upper)
    for i, name in enumerate(part.row_names):
        entries = slice(part.starts[i], part.starts[i + 1])
        whole.add_row(
            f"{name}{label}",
            columns[part.indices[entries]],
            part.values[entries],
            part.row_lower[i],
            part.row_upper[i],
        )
    return columns
