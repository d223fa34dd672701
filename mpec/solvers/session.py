"""What every solver session offers, and the one result record."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, Literal, Protocol

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
    matrix = model.matrix()
    bound = dual_bound(
        c,
        y,
        (np.array(model.row_lower), np.array(model.row_upper)),
        (np.array(model.lower), np.array(model.upper)),
        Transposed(matrix.T, abs(matrix).T, np.bincount(matrix.indices, minlength=len(c))),
    )
    return sign * bound + model.constant


UNIT = float(np.finfo(float).eps) / 2.0
"""Largest relative error of one operation."""


@dataclass(frozen=True)
class Transposed:
    """A' of a model's rows, |A|', and how many rows each column has."""

    matrix: Any
    absolute: Any
    count: Array


def dual_bound(
    cost: Array,
    duals: Array,
    rows: tuple[Array, Array],
    columns: tuple[Array, Array],
    transposed: Transposed,
    *,
    noise: float = 0.0,
) -> float:
    """What min cost.x can't fall below, by any row duals, rounding included; -inf where they show nothing.

    A dual entry that meets an infinite side is set to 0 first. ``noise``: up to this share of its terms, a reduced cost
    that meets an infinite side counts as zero.
    """
    (row_low, row_high), (low, high) = rows, columns
    y = np.where((duals > 0) & np.isneginf(row_low), 0.0, duals)
    y = np.where((y < 0) & np.isposinf(row_high), 0.0, y)
    terms = np.abs(cost) + transposed.absolute @ np.abs(y)
    with np.errstate(invalid="ignore"):
        by_row = np.where(y > 0, y * row_low, np.where(y < 0, y * row_high, 0.0))
        d = cost - transposed.matrix @ y
        side = np.where(d > 0, low, high)
        nothing = (d == 0) | (np.isinf(side) & (np.abs(d) <= noise * terms))
        by_column = np.where(nothing, 0.0, d * side)
    size = float(np.abs(by_row).sum() + np.abs(by_column[np.isfinite(by_column)]).sum())
    total = float(by_row.sum() + by_column.sum())
    # Every reduced cost's rounding meets its column's farther side (Higham 2002, gamma_k).
    sides = np.abs([low, high])
    far = np.where(np.isfinite(sides), sides, 0.0).max(axis=0, initial=0.0)
    blur = float((2.0 * UNIT * (transposed.count + 2) * terms * far).sum())
    return total - blur - 1e-14 * size
