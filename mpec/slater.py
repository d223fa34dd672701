"""Automatic Slater points: affine points xbar(p) = x0 + X p with room to spare for every p of a box.

They are found by one LP each: maximise the slack of the wanted row, where every row's least slack over
the box is linear in (x0, X) and the absolute values |a_i X + f_i|. Each point gives

    sum_i s_i mu_i <= f(xbar(p), p) - f(x, p),      s_i = least slack of row i over the box,

for every optimal (x, mu): by convexity  grad f(x).(xbar - x) <= f(xbar) - f(x),  and stationarity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from mpec.optimiser import Array, Inequalities
from mpec.solvers.polytope import Polytope

MOST_ENTRIES = 40_000
"""Rows x given quantities beyond which points are constant instead of affine in p."""

MOST_SLACK = 1e4
"""Slack beyond which a row is roomy enough; keeps the LPs bounded."""


@dataclass(frozen=True)
class SlaterPoint:
    """xbar(p) = origin + on_given p; ``slack`` (m,) are its least slacks over the box it was made for."""

    origin: Array
    on_given: Array
    slack: Array

    def row_on(
        self, rows: Inequalities, low: Array, high: Array, x_low: Array, x_high: Array
    ) -> tuple[Array, Array, Array, float] | None:
        """(s, on_x, on_p, right):  s.mu + on_x.x + on_p.p <= right  for every optimal (x, mu), p in the box.

        Exact for a linear follower whose cost doesn't depend on p; else the right side is an interval
        bound of f(xbar) - f(x), None where it is infinite.
        """
        o = rows.optimiser
        if o.quadratic is None and o.cross is None:
            return self.slack, o.cost.copy(), -(self.on_given.T @ o.cost), float(o.cost @ self.origin)
        bar = _affine_range(self.origin, self.on_given, low, high)
        gradient = (o.cost.copy(), o.cost.copy())
        if o.cross is not None:
            gradient = _affine_range(o.cost, o.cross.toarray(), low, high)
        step = (bar[0] - x_high, bar[1] - x_low)
        with np.errstate(invalid="ignore"):
            corners = [a * b for a in gradient for b in step]
        right = float(np.sum(np.maximum.reduce([np.nan_to_num(c, nan=0.0) for c in corners])))
        if o.quadratic is not None:
            size = np.maximum(np.abs(bar[0]), np.abs(bar[1]))
            right += 0.5 * float(size @ (abs(o.quadratic) @ size))
        if not math.isfinite(right):
            return None
        return self.slack, np.zeros(len(o.cost)), np.zeros(len(low)), right


def _affine_range(origin: Array, on_given: Array, low: Array, high: Array) -> tuple[Array, Array]:
    middle, radius = 0.5 * (low + high), 0.5 * (high - low)
    centre, spread = origin + on_given @ middle, np.abs(on_given) @ radius
    return centre - spread, centre + spread


def automatic_points(rows: Inequalities, low: Array, high: Array, wanted: Sequence[int]) -> list[SlaterPoint]:
    """One point with room in every row, and one per wanted row that still has none; empty if none exists.

    Needs a finite box; rows on p alone are ignored (the leader must respect them anyway).
    """
    if not wanted or not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
        return []
    search = _Search(rows, np.asarray(low, dtype=float), np.asarray(high, dtype=float))
    points: list[SlaterPoint] = []
    first = search.roomiest()
    if first is not None:
        points.append(first)
    for i in wanted:
        if any(p.slack[i] > 1e-6 for p in points):
            continue
        point = search.best_for(i)
        if point is None:
            return points
        points.append(point)
    search.close()
    return points


class _Search:
    """Columns: x0 (n), X (n k), absolute values v (m k), least slacks s (m), their common part (1)."""

    def __init__(self, rows: Inequalities, low: Array, high: Array) -> None:
        self.rows, self.low, self.high = rows, low, high
        self.n, self.k = len(rows.optimiser.columns), len(low)
        self.live = np.flatnonzero(~rows.given_only)
        self.affine = self.k if len(self.live) * self.k * self.n <= MOST_ENTRIES else 0
        m, k, n = len(self.live), self.affine, self.n
        self.at_slack = n + n * k + m * k
        self.width = self.at_slack + m + 1
        self.polytope = self._build(m, k, n)

    def _build(self, m: int, k: int, n: int) -> Polytope:
        a = self.rows.matrix[self.live].toarray()
        f = self.rows.given_matrix[self.live].toarray()
        middle, radius = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        # Least of f_i.p over the box for the part of p that X does not follow.
        fixed = np.where(f > 0, f * self.low, f * self.high).sum(axis=1) if k == 0 else np.zeros(m)
        row, col, val, low, high = [], [], [], [], []
        count = 0

        def put(columns: Array, values: Array, lower: float, upper: float) -> None:
            nonlocal count
            use = values != 0.0
            row.append(np.full(int(use.sum()), count))
            col.append(np.asarray(columns)[use])
            val.append(np.asarray(values)[use])
            low.append(lower)
            high.append(upper)
            count += 1

        for i in range(m):
            # s_i <= a_i x0 - b_i + sum_k mid_k (a_i X + f_i)_k - rad_k v_ik
            columns = [np.arange(n), np.array([self.at_slack + i])]
            values = [a[i], np.array([-1.0])]
            shift = float(self.rows.right[self.live[i]]) - float(fixed[i])
            for q in range(k):
                x_columns = n + np.arange(n) * k + q
                columns += [x_columns, np.array([n + n * k + i * k + q])]
                values += [middle[q] * a[i], np.array([-radius[q]])]
                shift -= middle[q] * f[i, q]
                v = np.array([n + n * k + i * k + q])
                # v_ik >= +-(a_i X + f_i)_k
                put(np.concatenate([v, x_columns]), np.concatenate([[1.0], -a[i]]), float(f[i, q]), math.inf)
                put(np.concatenate([v, x_columns]), np.concatenate([[1.0], a[i]]), -float(f[i, q]), math.inf)
            put(np.concatenate(columns), np.concatenate(values), shift, math.inf)
            scale = 1.0 + float(np.abs(a[i]).sum())
            put(np.array([self.at_slack + i, self.width - 1]), np.array([1.0, -scale]), 0.0, math.inf)
        lower, upper = np.full(self.width, -math.inf), np.full(self.width, math.inf)
        lower[self.at_slack :], upper[self.at_slack :] = 0.0, MOST_SLACK
        matrix = sp.csr_matrix(
            (np.concatenate(val), (np.concatenate(row), np.concatenate(col))), shape=(count, self.width)
        )
        return Polytope(matrix, np.array(low), np.array(high), lower, upper)

    def roomiest(self) -> SlaterPoint | None:
        cost = np.zeros(self.width)
        cost[-1] = 1.0
        return self._solve(cost)

    def best_for(self, row: int) -> SlaterPoint | None:
        at = np.flatnonzero(self.live == row)
        cost = np.zeros(self.width)
        cost[self.at_slack + at] = 1.0
        return self._solve(cost) if len(at) else None

    def _solve(self, cost: Array) -> SlaterPoint | None:
        self.polytope.maximum(cost, exact=True)
        x = self.polytope.point
        if x is None or self.polytope.empty:
            return None
        origin = x[: self.n]
        on_given = np.zeros((self.n, self.k))
        if self.affine:
            on_given = x[self.n : self.n + self.n * self.k].reshape(self.n, self.k)
        return self._verified(origin, on_given)

    def _verified(self, origin: Array, on_given: Array) -> SlaterPoint | None:
        """The point with slacks recomputed; None unless every row holds on the whole box."""
        rows = self.rows
        base = rows.matrix @ origin - rows.right
        slope = rows.matrix @ on_given + rows.given_matrix.toarray()
        least = base + np.where(slope > 0, slope * self.low, slope * self.high).sum(axis=1)
        size = 1e-9 * (1.0 + np.abs(rows.right) + abs(rows.matrix) @ np.abs(origin))
        live = ~rows.given_only
        if np.any(least[live] < -size[live]):
            return None
        slack = np.where(live, np.maximum(least - size, 0.0), 0.0)
        return SlaterPoint(origin, on_given, slack)

    def close(self) -> None:
        self.polytope.close()
