"""Strong duality: one row per follower instead of its pairs, bilinear where p stands in the follower's rows.

    sum_i s_i mu_i <= 0,  written for an optimiser by its stationarity as
    (c + Q x + G p).x - b.mu + mu'F p <= 0          (the left side is >= 0 at every feasible point)

Linear, hence for every solver, if Q = G = F = 0; otherwise for solvers with bilinear rows (Gurobi, SCIP).
Pairs of equilibria have no such form: their products are summed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mpec.complementarity import Pair
from mpec.kkt import Kkt
from mpec.linear_model import LinearModel, Products, QuadraticRow
from mpec.modes.big_m import Written


class Terms:
    """A quadratic expression under construction."""

    def __init__(self) -> None:
        self.linear: dict[int, float] = {}
        self.square: dict[tuple[int, int], float] = {}
        self.constant = 0.0

    def add(self, column: int, value: float) -> None:
        self.linear[column] = self.linear.get(column, 0.0) + value

    def multiply(self, first: int, second: int, value: float) -> None:
        key = (min(first, second), max(first, second))
        self.square[key] = self.square.get(key, 0.0) + value

    def write(self, model: LinearModel, name: str) -> None:
        """Append ``expression <= 0``."""
        linear = {j: v for j, v in self.linear.items() if v != 0.0}
        square = {k: v for k, v in self.square.items() if v != 0.0}
        if not square:
            model.add_row(name, list(linear), list(linear.values()), -math.inf, 0.0 - self.constant)
            return
        products = Products(tuple(i for i, _ in square), tuple(j for _, j in square), tuple(square.values()))
        model.quadratic_rows.append(
            QuadraticRow(
                name, tuple(linear), tuple(linear.values()), products, -math.inf, 0.0 - self.constant
            )
        )


def write(model: LinearModel, pairs: Sequence[Pair], *, followers: Sequence[Kkt] = ()) -> Written:
    """One row per follower in ``followers``; pairs that belong to none of them share one more row."""
    covered: set[int] = set()
    for kkt in followers:
        duality_gap(kkt).write(model, f"strong_duality[{kkt.rows.optimiser.name}]")
        covered |= {int(c) for c in kkt.multiplier if c >= 0}
    rest = [
        p for p in pairs if not (len(p.multiplier.columns) == 1 and int(p.multiplier.columns[0]) in covered)
    ]
    if rest:
        terms = Terms()
        for pair in rest:
            _add_product(terms, pair)
        terms.write(model, "complementarity[sum of products]")
    return Written(np.full(len(pairs), -1))


def duality_gap(kkt: Kkt) -> Terms:
    """(c + Q x + G p).x - b.mu + mu'F p over the model's columns."""
    rows, terms = kkt.rows, Terms()
    o = rows.optimiser
    for j, value in zip(kkt.primal.tolist(), o.cost.tolist(), strict=True):
        terms.add(j, value)
    for matrix, left, right in ((o.quadratic, kkt.primal, kkt.primal), (o.cross, kkt.primal, kkt.given)):
        if matrix is not None:
            coo = matrix.tocoo()
            for i, j, value in zip(coo.row, coo.col, coo.data, strict=True):
                terms.multiply(int(left[i]), int(right[j]), float(value))
    owner = kkt.multiplier >= 0
    for column, value in zip(kkt.multiplier[owner].tolist(), rows.right[owner].tolist(), strict=True):
        terms.add(column, -value)
    coo = rows.given_matrix.tocoo()
    for i, k, value in zip(coo.row, coo.col, coo.data, strict=True):
        if kkt.multiplier[i] >= 0:
            terms.multiply(int(kkt.multiplier[i]), int(kkt.given[k]), float(value))
    return terms


def _add_product(terms: Terms, pair: Pair) -> None:
    """slack * multiplier of one pair."""
    s, y = pair.slack, pair.multiplier
    terms.constant += s.constant * y.constant
    for j, value in zip(s.columns.tolist(), s.values.tolist(), strict=True):
        terms.add(j, value * y.constant)
        for k, other in zip(y.columns.tolist(), y.values.tolist(), strict=True):
            terms.multiply(j, k, value * other)
    for k, other in zip(y.columns.tolist(), y.values.tolist(), strict=True):
        terms.add(k, other * s.constant)
