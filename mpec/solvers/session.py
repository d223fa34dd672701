"""What every solver session offers, and the one result record."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from mpec.exact_sums import exact_dual_bound
from mpec.linear_model import LinearModel

Array = np.ndarray
Status = Literal["optimal", "feasible", "infeasible", "unbounded", "no_point", "error"]


class SolverError(RuntimeError):
    """The solver failed or answered something that can't be used; the message says what and why."""


class SolverMissing(SolverError):
    """The solver isn't installed, has no licence, or lacks a feature; the message names the cure."""


@dataclass(frozen=True)
class Solved:
    """The outcome of one solve.

    ``objective`` belongs to ``x`` (None without a point); ``bound`` is the solver's claimed dual
    bound (an upper bound when maximising); row duals and reduced costs are given for LPs only, in the
    solver-free convention d objective / d right-hand side (of the model as stated, max or min).
    """

    status: Status
    objective: float | None
    bound: float
    x: Array | None
    row_duals: Array | None
    reduced_costs: Array | None
    seconds: float


class Session(Protocol):
    """A model kept in the solver between calls. Indices are those of the LinearModel."""

    name: str
    model: LinearModel

    def set_costs(self, columns: Array, values: Array) -> None: ...
    def set_objective(self, cost: Array, *, maximise: bool, constant: float = 0.0) -> None: ...
    def set_bounds(self, columns: Array, lower: Array, upper: Array) -> None: ...
    def set_row_bounds(self, row: int, lower: float, upper: float) -> None: ...
    def add_row(self, name: str, columns: Array, values: Array, lower: float, upper: float) -> int: ...
    def reload(self) -> None: ...
    def without_presolve(self) -> None: ...
    def solve(
        self,
        *,
        relax: bool = False,
        gap: float = 1e-4,
        time_limit: float | None = None,
        node_limit: int | None = None,
        start: Array | None = None,
        cutoff: float | None = None,
    ) -> Solved: ...
    def close(self) -> None: ...


class RebuildingSession:
    """Bookkeeping for solvers that are handed the model afresh at each solve: changes go to the model."""

    def __init__(self, model: LinearModel) -> None:
        self.model = model

    def set_costs(self, columns: Array, values: Array) -> None:
        for j, v in zip(np.asarray(columns, dtype=int), np.asarray(values, dtype=float), strict=True):
            self.model.cost[j] = float(v)

    def set_objective(self, cost: Array, *, maximise: bool, constant: float = 0.0) -> None:
        self.model.cost = np.asarray(cost, dtype=float).tolist()
        self.model.maximise, self.model.constant = maximise, constant

    def set_bounds(self, columns: Array, lower: Array, upper: Array) -> None:
        for j, a, b in zip(np.asarray(columns, dtype=int), np.asarray(lower), np.asarray(upper), strict=True):
            self.model.lower[j], self.model.upper[j] = float(a), float(b)

    def set_row_bounds(self, row: int, lower: float, upper: float) -> None:
        self.model.row_lower[row], self.model.row_upper[row] = lower, upper

    def add_row(self, name: str, columns: Array, values: Array, lower: float, upper: float) -> int:
        return self.model.add_row(name, columns, values, lower, upper)

    def reload(self) -> None:
        """Nothing to do: the model is read at each solve."""


def proven_empty(model: LinearModel, ray: Array) -> bool:
    """Whether row multipliers show the LP relaxation empty: the objective 0 would have to be below 0 (Farkas).

    Computed from the model's own numbers in exact arithmetic; the solver's word counts for nothing.
    """
    size = float(np.abs(ray).max(initial=0.0))
    if size == 0.0 or not np.isfinite(ray).all():
        return False
    nothing = copy(model)
    nothing.cost, nothing.constant, nothing.maximise = [0.0] * model.columns, 0.0, True
    return any(exact_dual_bound(nothing, (sign * ray / size).tolist()) < 0.0 for sign in (1.0, -1.0))


def safe_bound(
    model: LinearModel, row_duals: Array, cost: Array | None = None, *, maximise: bool | None = None
) -> float:
    """A bound on the LP relaxation that holds whatever the duals are (Neumaier & Shcherbina 2004).

    For min c.x: sum_i (y_i > 0 ? y_i rl_i : y_i ru_i) + sum_j (d_j > 0 ? d_j l_j : d_j u_j), d = c - A'y.
    A dual entry that meets an infinite side is set to 0 first. Returns -inf (min) / +inf (max) when a
    reduced cost meets an infinite bound. Includes the model's constant.
    """
    c = np.array(model.cost if cost is None else cost, dtype=float)
    is_max = model.maximise if maximise is None else maximise
    sign = -1.0 if is_max else 1.0
    c, y = sign * c, sign * np.asarray(row_duals, dtype=float)
    rl, ru = np.array(model.row_lower), np.array(model.row_upper)
    y = np.where((y > 0) & np.isneginf(rl), 0.0, y)
    y = np.where((y < 0) & np.isposinf(ru), 0.0, y)
    matrix = model.matrix()
    with np.errstate(invalid="ignore"):
        rows = np.where(y > 0, y * rl, np.where(y < 0, y * ru, 0.0))
        d = c - matrix.T @ y
        low, up = np.array(model.lower), np.array(model.upper)
        cols = np.where(d > 0, d * low, np.where(d < 0, d * up, 0.0))
    total = float(rows.sum() + cols.sum())
    size = float(np.abs(rows).sum() + np.abs(cols).sum())
    terms = np.abs(c) + abs(matrix).T @ np.abs(y)
    blur = rounding(np.bincount(matrix.indices, minlength=len(c)), terms, low, up)
    return sign * (total - 1e-14 * size - blur) + model.constant


UNIT = float(np.finfo(float).eps) / 2.0
"""Largest relative error of one operation."""


def rounding(count: Array, terms: Array, lower: Array, upper: Array) -> float:
    """What rounding of reduced costs can move a bound from duals by: every one meets its column's farther side.

    count: rows of each column; terms: |c| + |A|'|y|, which the reduced costs are sums of (Higham 2002, gamma_k).
    """
    sides = np.abs([lower, upper])
    far = np.where(np.isfinite(sides), sides, 0.0).max(axis=0, initial=0.0)
    return float(2.0 * UNIT * ((count + 2) * terms * far).sum())
