"""Derived bounds on both sides of a follower's pairs, for given quantities p in a box; none is invented.

For  V(p) = min f(x, p)  s.t.  A x + F p >= b  with optimal multipliers mu >= 0:

* slack: max of a.x + f.p - b over the joint polyhedron of (x, p), an LP per row;
* never binding: min of the same, strictly positive over everything that can be optimal: mu = 0, row dropped;
* Slater: a feasible affine point xbar(p) with slacks s(p) gives  sum_i s_i(p) mu_i <= f(xbar(p)) - V(p),
  whose right side is maximised over the box by one LP in (x, p);
* single rows: stationarity A'mu = c with mu >= 0, by interval propagation;
* LPs over the dual polyhedron {A'mu = c, mu >= 0, Slater rows}.

Every LP value is a safe bound recomputed from its duals (mpec.solvers.polytope). A bound is ``exact`` where every one
of them is free of rounding errors, every sum beside them is rounded outwards, and the affine points are feasible in
exact arithmetic, not to a tolerance: V(p) <= f(xbar(p)) and s_i(p) >= 0 are worth nothing otherwise. A point that
breaks a row by rounding stands for its mixture with another one that has slack there, a share of at most
:data:`MIXED`; what that moves is allowed for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import scipy.sparse as sp

from mpec import tolerances
from mpec.complementarity import Bound
from mpec.exact_sums import UNIT, upwards
from mpec.optimiser import Array, Inequalities, as_inequalities
from mpec.solvers.polytope import Polytope, propagate

MIXED = 1e-12
"""Share of another point that may mend a point's rounding."""


@dataclass(frozen=True)
class AffinePoint:
    """xbar(p) = origin + on_given p: a point of the follower that is feasible for every p of the box.

    origin (n,), on_given (n, k), over the columns of the optimiser it is used with.
    """

    name: str
    origin: Array
    on_given: Array


@dataclass(frozen=True)
class Dropped:
    """A row that can never bind, and why: ``slack`` is a proven lower bound of its slack."""

    name: str
    slack: float
    source: str


@dataclass(frozen=True)
class SlaterRow:
    """sum_i slack_i mu_i <= right, from an affine point; slack (m,) are lower bounds over the box. ``exact``: no
    rounding error is in the right side."""

    name: str
    slack: Array
    right: float
    exact: bool = True


def primal_polytope(
    rows: Inequalities, given_low: Array, given_high: Array, points: Sequence[AffinePoint] = ()
) -> Polytope:
    """All (x, p) that are feasible, p in its box, and no worse than the given points (linear followers).

    All rows of the optimiser count, those dropped from ``rows`` too: the box they give is needed.
    """
    o = rows.optimiser
    n = len(o.columns)
    rows = as_inequalities(o)
    matrix = sp.hstack([rows.matrix, rows.given_matrix]).tocsr()
    low = np.array(rows.right, dtype=float)
    high = np.where(rows.equality, rows.right, math.inf)
    points = feasible_points(rows, given_low, given_high, points) if _linear(rows) else ()
    if points:
        cuts = [np.concatenate([o.cost, -(point.on_given.T @ o.cost)]) for point in points]
        right = np.array([float(o.cost @ point.origin) for point in points])
        blur = _cost_rounding(o.cost, points, given_low, given_high)
        matrix = sp.vstack([matrix, sp.csr_matrix(np.array(cuts))]).tocsr()
        low = np.concatenate([low, np.full(len(points), -math.inf)])
        high = np.concatenate([high, right + blur + tolerances.BOUND_MARGIN * (1.0 + np.abs(right))])
    lower = np.concatenate([np.full(n, -math.inf), given_low])
    upper = np.concatenate([np.full(n, math.inf), given_high])
    lower, upper = propagate(matrix, low, high, lower, upper)
    return Polytope(matrix, low, high, lower, upper)


def _cost_rounding(cost: Array, points: Sequence[AffinePoint], low: Array, high: Array) -> Array:
    """What rounding, and mending it, may have done to each f(xbar(p)) anywhere in the box (Higham 2002, gamma_k)."""
    farthest = np.maximum(np.abs(low), np.abs(high))
    size = np.array([np.abs(cost) @ (np.abs(q.origin) + np.abs(q.on_given) @ farthest) for q in points])
    return np.asarray((len(cost) + len(farthest) + 4) * UNIT * size + 2.0 * MIXED * size.max(initial=0.0))


def _linear(rows: Inequalities) -> bool:
    return rows.optimiser.quadratic is None and rows.optimiser.cross is None


def drop_never_binding(
    rows: Inequalities,
    given_low: Array,
    given_high: Array,
    points: Sequence[AffinePoint] = (),
    *,
    margin: float = 1e-7,
) -> tuple[Inequalities, tuple[Dropped, ...]]:
    """Drop the rows whose slack is strictly positive wherever the follower can be optimal, p in the box.

    First by intervals, then by one LP per row that no vertex seen so far touches. A row stays unless
    its slack is proven to exceed ``margin`` relative to its size. The optimal sets, primal and dual,
    are unchanged.
    """
    polytope = primal_polytope(rows, given_low, given_high, points)
    wide = sp.hstack([rows.matrix, rows.given_matrix]).tocsr()
    size = margin * (1.0 + np.abs(rows.right))
    least = least_activity(wide, polytope.lower, polytope.upper) - rows.right
    dropped = {
        int(i): Dropped(rows.names[i], float(least[i]), "intervals") for i in np.flatnonzero(least > size)
    }
    touched = np.array(rows.equality)
    for i in range(rows.rows):
        if touched[i] or i in dropped:
            continue
        value = polytope.minimum(wide[i].toarray().ravel()) - float(rows.right[i])
        if polytope.empty:
            break
        if value > size[i]:
            dropped[i] = Dropped(rows.names[i], value, "LP")
        if polytope.point is not None:
            touched |= wide @ polytope.point - rows.right <= size
    polytope.close()
    keep = np.array([i not in dropped for i in range(rows.rows)], dtype=bool)
    return rows.select(keep), tuple(dropped[i] for i in sorted(dropped))


def least_activity(matrix: sp.csr_matrix, lower: Array, upper: Array) -> Array:
    """Least activity of each row over the box, rounded downwards."""
    coo = matrix.tocoo()
    terms = coo.data * np.where(coo.data > 0, lower[coo.col], upper[coo.col])
    size = np.bincount(coo.row, np.abs(terms), minlength=matrix.shape[0])
    blur = (
        (np.bincount(coo.row, minlength=matrix.shape[0]) + 4) * UNIT * np.where(np.isfinite(size), size, 0.0)
    )
    return np.bincount(coo.row, terms, minlength=matrix.shape[0]) - blur


def slack_bounds(
    rows: Inequalities, given_low: Array, given_high: Array, points: Sequence[AffinePoint] = ()
) -> list[Bound | None]:
    """Largest slack of every inequality row over the joint polyhedron of (x, p); None for equalities."""
    polytope = primal_polytope(rows, given_low, given_high, points)
    wide = sp.hstack([rows.matrix, rows.given_matrix]).tocsr()
    most = np.nextafter(-least_activity(-wide, polytope.lower, polytope.upper) - rows.right, math.inf)
    sound = exactly_feasible(rows, given_low, given_high, points)
    out: list[Bound | None] = []
    for i in range(rows.rows):
        if rows.equality[i]:
            out.append(None)
            continue
        rounded = polytope.inexact
        largest = polytope.maximum(wide[i].toarray().ravel())
        value = largest - float(rows.right[i])
        value = math.nextafter(value, math.inf) if math.isfinite(value) else value
        source, exact = "LP over the follower's and the given variables", polytope.inexact == rounded
        if most[i] <= value or (largest == -math.inf and math.isfinite(most[i])):
            # An "infeasible" is the solver's word alone: no slack is 0 for that.
            value, source, exact = float(most[i]), "intervals", True
        exact = exact and math.isfinite(value)
        known = math.isfinite(value) or value < 0
        out.append(Bound(max(value, 0.0), source, exact=sound and exact) if known else None)
    polytope.close()
    return out


def slater_rows(
    rows: Inequalities, given_low: Array, given_high: Array, points: Sequence[AffinePoint]
) -> tuple[SlaterRow, ...]:
    """For each point that is feasible on the whole box, its aggregated row on the multipliers.

    right = max over p of f(xbar(p)) - V(p), one LP over (x, p); slack_i = least slack over the box.
    Points that aren't feasible everywhere are left out.
    """
    o = rows.optimiser
    out: list[SlaterRow] = []
    usable = feasible_points(rows, given_low, given_high, points) if _linear(rows) else ()
    if not usable:
        return ()
    polytope = primal_polytope(rows, given_low, given_high, usable)
    blurs = _cost_rounding(o.cost, usable, given_low, given_high)
    for point, blur in zip(usable, blurs, strict=True):
        least, _ = _slack_range(rows, given_low, given_high, point)
        gain = np.concatenate([-o.cost, point.on_given.T @ o.cost])
        right = polytope.maximum(gain) + float(o.cost @ point.origin)
        if math.isfinite(right):
            right += float(blur)
            slack = np.where(rows.equality, 0.0, np.maximum(least, 0.0)) * (1.0 - 2.0 * MIXED)
            out.append(SlaterRow(point.name, slack, max(right, 0.0), polytope.inexact == 0))
    polytope.close()
    return tuple(out)


def feasible_points(
    rows: Inequalities, given_low: Array, given_high: Array, points: Sequence[AffinePoint]
) -> tuple[AffinePoint, ...]:
    """The points that satisfy every row for every p of the box, by intervals (1e-9 relative)."""
    out = []
    for point in points:
        size = 1e-9 * (1.0 + np.abs(rows.right) + abs(rows.matrix) @ np.abs(point.origin))
        least, most = _slack_range(rows, given_low, given_high, point)
        if np.all(least >= -size) and np.all(most[rows.equality] <= size[rows.equality]):
            out.append(point)
    return tuple(out)


def exactly_feasible(
    rows: Inequalities, given_low: Array, given_high: Array, points: Sequence[AffinePoint]
) -> bool:
    """Whether those of the points that are used satisfy every row over the whole box in exact arithmetic, mixed with
    at most :data:`MIXED` of one that does."""
    used = feasible_points(rows, given_low, given_high, points) if _linear(rows) else ()
    least = [_slack_range(rows, given_low, given_high, point) for point in used]
    broken: list[dict[int, float]] = []
    for point, (low, high) in zip(used, least, strict=True):
        doubtful = np.flatnonzero((low < 0.0) | (rows.equality & (high > 0.0)))
        by = {int(i): _exactly_broken(rows, int(i), given_low, given_high, point) for i in doubtful}
        broken.append({i: v for i, v in by.items() if v > 0.0})
    kept = [low for (low, _), by in zip(least, broken, strict=True) if not by]
    return all(
        any(all(v <= 0.5 * MIXED * max(low[i], 0.0) for i, v in by.items()) for low in kept)
        for by in broken
        if by
    )


def _exactly_broken(rows: Inequalities, i: int, low: Array, high: Array, point: AffinePoint) -> float:
    """By how much row i is broken at xbar(p) for some p of the box (infinite: an equality), by rational numbers."""
    matrix, given = rows.matrix, rows.given_matrix
    part, own = slice(*matrix.indptr[i : i + 2]), slice(*given.indptr[i : i + 2])
    entries = list(zip(matrix.data[part].tolist(), matrix.indices[part].tolist(), strict=True))
    by_given = dict(zip(given.indices[own].tolist(), given.data[own].tolist(), strict=True))

    def value(x: Array, plus: float) -> Fraction:
        return sum((Fraction(v) * Fraction(float(x[j])) for v, j in entries if x[j]), Fraction(plus))

    least = most = value(point.origin, -float(rows.right[i]))
    for k in range(len(low)):
        slope = value(point.on_given[:, k], by_given.get(k, 0.0))
        ends = slope * Fraction(float(low[k])), slope * Fraction(float(high[k]))
        least, most = least + min(ends), most + max(ends)
    if rows.equality[i]:
        return math.inf if least < 0 or most > 0 else 0.0
    return max(upwards(-least), 0.0)


def _slack_range(
    rows: Inequalities, given_low: Array, given_high: Array, point: AffinePoint
) -> tuple[Array, Array]:
    """Least and largest slack of every row at xbar(p) over the box, rounded outwards; rounding noise of cancelled
    terms is zeroed first."""
    on_x = rows.matrix @ point.on_given
    on_p = on_x + rows.given_matrix.toarray()
    size = abs(rows.matrix) @ np.abs(point.on_given) + np.abs(rows.given_matrix.toarray())
    on_p = sp.csr_matrix(np.where(np.abs(on_p) <= 1e-13 * size, 0.0, on_p))
    base = rows.matrix @ point.origin - rows.right
    low, high = np.asarray(given_low, dtype=float), np.asarray(given_high, dtype=float)
    fixed = abs(rows.matrix) @ np.abs(point.origin) + np.abs(rows.right)
    noise = size @ np.maximum(np.abs(low), np.abs(high))
    blur = (rows.matrix.shape[1] + 4) * UNIT * (fixed + noise) + 1e-13 * noise
    return base + least_activity(on_p, low, high) - blur, base - least_activity(
        (-on_p).tocsr(), low, high
    ) + blur


class DualPolyhedron:
    """{mu : A'mu = c, mu >= 0 (equalities free), Slater rows}: contains every optimal multiplier vector.

    For linear followers whose cost doesn't depend on p. ``bounds`` has one entry per row, None for
    equalities and where nothing finite follows.
    """

    def __init__(
        self,
        rows: Inequalities,
        given_low: Array,
        given_high: Array,
        points: Sequence[AffinePoint] = (),
        *,
        tighten: bool = True,
    ) -> None:
        if not _linear(rows):
            raise ValueError(
                "the dual polyhedron is fixed only for a linear follower whose cost is not parametric"
            )
        self.rows = rows
        self.slater = slater_rows(rows, given_low, given_high, points)
        self.exact = all(row.exact for row in self.slater)
        self.exact &= exactly_feasible(rows, given_low, given_high, points)
        count = rows.rows
        low = np.where(rows.equality, -math.inf, 0.0)
        high = np.full(count, math.inf)
        self._source = [""] * count
        for row in self.slater:
            with np.errstate(divide="ignore"):
                cap = np.where(row.slack > 0, row.right / np.where(row.slack > 0, row.slack, 1.0), math.inf)
            for i in np.flatnonzero(cap < high):
                self._source[i] = (
                    f"Slater point '{row.name}': F / slack = {row.right:.6g} / {row.slack[i]:.6g}"
                )
            high = np.minimum(high, np.nextafter(cap, math.inf))
        matrix = rows.matrix.T.tocsr()
        right = np.array(rows.optimiser.cost, dtype=float)
        if self.slater:
            matrix = sp.vstack([matrix, sp.csr_matrix(np.array([r.slack for r in self.slater]))]).tocsr()
        row_low = np.concatenate([right, np.full(len(self.slater), -math.inf)])
        row_high = np.concatenate([right, [r.right for r in self.slater]])
        new_low, new_high = propagate(matrix, row_low, row_high, low, high)
        self._note(new_high, high, "stationarity with signs (single rows)")
        low, high = np.where(rows.equality, new_low, np.maximum(new_low, 0.0)), new_high
        self.polytope = Polytope(matrix, row_low, row_high, low, high)
        if tighten:
            self._tighten()

    def _note(self, new: Array, old: Array, source: str) -> None:
        for i in np.flatnonzero(new < old * (1.0 - 1e-9)):
            self._source[i] = source

    def _tighten(self) -> None:
        """One LP per multiplier; sharper boxes are used at once."""
        with_points = ", Slater rows " + ", ".join(f"'{r.name}'" for r in self.slater) if self.slater else ""
        for i in np.flatnonzero(~self.rows.equality):
            cost = np.zeros(self.rows.rows)
            cost[i] = 1.0
            value = self.polytope.maximum(cost)
            if self.polytope.empty:
                # There are optimal multipliers: a solver that denies it says nothing of this one.
                self.polytope.empty = False
                continue
            value = max(value, 0.0)
            if value < self.polytope.upper[i]:
                high = self.polytope.upper.copy()
                high[i] = value
                self._note(high, self.polytope.upper, f"LP over the dual polyhedron{with_points}")
                self.polytope.set_bounds(self.polytope.lower, high)

    @property
    def bounds(self) -> list[Bound | None]:
        high = self.polytope.upper
        return [
            Bound(float(max(high[i], 0.0)), self._source[i], exact=self.exact and not self.polytope.inexact)
            if math.isfinite(high[i]) and not self.rows.equality[i]
            else None
            for i in range(self.rows.rows)
        ]

    def range(self, on_multiplier: Array, constant: float = 0.0) -> tuple[float, float]:
        """(least, largest) value of on_multiplier . mu + constant, e.g. a price; infinite where unbounded."""
        return (
            self.polytope.minimum(on_multiplier) + constant,
            self.polytope.maximum(on_multiplier) + constant,
        )

    def close(self) -> None:
        self.polytope.close()


def multiplier_bounds(
    rows: Inequalities, given_low: Array, given_high: Array, points: Sequence[AffinePoint] = ()
) -> list[Bound | None]:
    """Upper bound of every inequality row's optimal multiplier, p in the box: the best of all ways above."""
    dual = DualPolyhedron(rows, given_low, given_high, points)
    try:
        return dual.bounds
    finally:
        dual.close()
