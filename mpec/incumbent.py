"""A good bilevel-feasible point without any big-M: depth-first branching on complementary pairs by LPs.

Each node solves the linear relaxation with one side of some pairs fixed to zero; the worst violated pair
is branched on, the side that is nearly zero first; nodes no better than the best point are dropped. The
point serves as a cutoff for the derivation of bounds; where the search ends with nothing left, and no node
needed the temporary box, it is the optimum (to 1e-6), proven without any M.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Found:
    """The best point that satisfies all rows, integrality and every pair (None if there was none), whether
    it is proven to be the optimum, and the number of LPs."""

    x: Array | None
    optimal: bool
    nodes: int


def good_point(model: LinearModel, pairs: Sequence[Pair], *, most_nodes: int = MOST_NODES) -> Found:
    """Search for ``most_nodes`` LPs at most.

    Args:
        model: everything but the pairs; its objective guides the search.
    """
    if model.quadratic_rows or model.cost_products.values:
        return Found(None, False, 0)
    relaxed = model.copy()
    relaxed.integer = [False] * model.columns
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
        self.sure = True
        self.lower, self.upper = np.array(model.lower, dtype=float), np.array(model.upper, dtype=float)
        self.low_now, self.high_now = self.lower, self.upper

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
        """The node's LP; an unbounded one is solved in a box, and then nothing is proven any more."""
        self.nodes += 1
        for i, side in closed.items():
            part = self.pairs[i].slack if side == 0 else self.pairs[i].multiplier
            self.session.set_row_bounds(self.rows[i][side], -math.inf, -part.constant)
        lower, upper = self.lower.copy(), self.upper.copy()
        for j, (low, high) in boxes.items():
            lower[j], upper[j] = low, high
        self._box(lower, upper)
        solved = self.session.solve()
        if solved.status == "unbounded":
            self.sure = False
            self._box(np.maximum(lower, -FAR), np.minimum(upper, FAR))
            solved = self.session.solve()
        elif solved.status not in ("optimal", "infeasible"):
            self.sure = False
        for i, side in closed.items():
            self.session.set_row_bounds(self.rows[i][side], -math.inf, math.inf)
        return solved.x

    def _box(self, lower: Array, upper: Array) -> None:
        changed = np.flatnonzero((lower != self.low_now) | (upper != self.high_now))
        if len(changed):
            self.session.set_bounds(changed, lower[changed], upper[changed])
            self.low_now, self.high_now = lower, upper

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
