"""A good bilevel-feasible point without any big-M: depth-first branching on complementary pairs by LPs.

Each node solves the linear relaxation with one side of some pairs fixed to zero; the worst violated pair
is branched on, the side that is nearly zero first; nodes no better than the best point are dropped. The
point serves as a cutoff for the derivation of bounds; where the search ends with nothing left, and no node
needed the temporary box, it is the optimum (to 1e-6), proven without any M.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mpec.complementarity import Linear, Pair
from mpec.linear_model import Array, LinearModel
from mpec.solvers import HighsSession

MOST_NODES = 2000
"""LPs spent on the search."""

FAR = 1e6
"""Temporary box for an LP that is unbounded without it."""

ZERO = 1e-8
"""A side below this (relative to 1) counts as zero."""


def good_point(model: LinearModel, pairs: Sequence[Pair], *, most_nodes: int = MOST_NODES) -> Array | None:
    """The best point found that satisfies all rows, integrality and every pair; None if there was none.

    Args:
        model: everything but the pairs; its objective guides the search.
    """
    if model.quadratic_rows or model.cost_products.values:
        return Found(None, False, 0)
    relaxed = replace(
        model,
        integer=[False] * model.columns,
        lower=[max(v, -FAR) for v in model.lower],
        upper=[min(v, FAR) for v in model.upper],
        cost=list(model.cost),
        row_names=list(model.row_names),
        row_lower=list(model.row_lower),
        row_upper=list(model.row_upper),
        starts=list(model.starts),
        indices=list(model.indices),
        values=list(model.values),
    )
    rows = [_side_rows(relaxed, pair) for pair in pairs]
    session = HighsSession(relaxed)
    try:
        return _Dive(model, pairs, rows, session).search(most_nodes)
    finally:
        session.close()


def _side_rows(model: LinearModel, pair: Pair) -> tuple[int, int]:
    """Rows ``side <= infinity`` of both sides, to be closed while diving."""
    out = []
    for side, label in ((pair.slack, "slack"), (pair.multiplier, "multiplier")):
        out.append(model.add_row(f"{label}[{pair.name}]", side.columns, side.values))
    return out[0], out[1]


class _Dive:
    def __init__(
        self, model: LinearModel, pairs: Sequence[Pair], rows: list[tuple[int, int]], session: HighsSession
    ) -> None:
        self.model, self.pairs, self.rows, self.session = model, pairs, rows, session
        self.whole = np.flatnonzero(model.integer)
        self.nodes = 0
        self.boxed = np.array(
            [math.isinf(a) or math.isinf(b) for a, b in zip(model.lower, model.upper, strict=True)], dtype=bool
        )
        self.sure = True

    def search(self, most_nodes: int) -> Found:
        """Depth first; a node is a list of closed sides and integer boxes."""
        stack: list[tuple[dict[int, int], dict[int, tuple[float, float]]]] = [({}, {})]
        sign = -1.0 if self.model.maximise else 1.0
        best, value = None, math.inf
        while stack and self.nodes < most_nodes:
            closed, boxes = stack.pop()
            x = self._solve(closed, boxes)
            if x is None or (
                best is not None and sign * self.model.objective(x) >= value - 1e-6 * (1.0 + abs(value))
            ):
                continue
            i = self._worst(x)
            if i >= 0:
                first = (
                    0
                    if self._small(self.pairs[i].slack, x) <= self._small(self.pairs[i].multiplier, x)
                    else 1
                )
                stack.append(({**closed, i: 1 - first}, boxes))
                stack.append(({**closed, i: first}, boxes))
                continue
            j = self._fractional(x)
            if j < 0:
                best, value = x, sign * self.model.objective(x)
                continue
            low, high = boxes.get(j, (self.model.lower[j], self.model.upper[j]))
            down, up = math.floor(x[j]), math.ceil(x[j])
            children = [(closed, {**boxes, j: (low, float(down))}), (closed, {**boxes, j: (float(up), high)})]
            stack += children if x[j] - down > 0.5 else children[::-1]
        return Found(best, best is not None and not stack and self.sure, self.nodes)

    def _solve(self, closed: dict[int, int], boxes: dict[int, tuple[float, float]]) -> Array | None:
        self.nodes += 1
        for i, side in closed.items():
            part = self.pairs[i].slack if side == 0 else self.pairs[i].multiplier
            self.session.set_row_bounds(self.rows[i][side], -math.inf, -part.constant)
        for j, (low, high) in boxes.items():
            self.session.set_bounds(np.array([j]), np.array([max(low, -FAR)]), np.array([min(high, FAR)]))
        solved = self.session.solve()
        for i, side in closed.items():
            self.session.set_row_bounds(self.rows[i][side], -math.inf, math.inf)
        for j in boxes:
            low, high = max(self.model.lower[j], -FAR), min(self.model.upper[j], FAR)
            self.session.set_bounds(np.array([j]), np.array([low]), np.array([high]))
        if solved.status not in ("optimal", "infeasible"):
            self.sure = False
        elif solved.x is not None and np.any(np.abs(solved.x[self.boxed]) > 0.5 * FAR):
            self.sure = False
        return solved.x

    @staticmethod
    def _small(side: Linear, x: Array) -> float:
        size = 1.0 + float(np.abs(side.values) @ np.abs(x[side.columns]))
        return max(side.at(x), 0.0) / size

    def _worst(self, x: Array) -> int:
        """The pair with the largest smaller side, -1 if all pairs hold."""
        worst, at = ZERO, -1
        for i, pair in enumerate(self.pairs):
            violation = min(pair.slack.at(x), pair.multiplier.at(x))
            if violation > worst:
                worst, at = violation, i
        return at

    def _fractional(self, x: Array) -> int:
        if not len(self.whole):
            return -1
        distance = np.abs(x[self.whole] - np.round(x[self.whole]))
        at = int(np.argmax(distance))
        return int(self.whole[at]) if distance[at] > 1e-7 else -1
