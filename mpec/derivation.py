"""Bounds on all pairs of a single-level model, derived from the model itself.

Works on one polyhedron that contains every bilevel-feasible point with its multipliers: the leader's
linear rows, all followers' feasibility and stationarity rows, cuts s/S + mu/M <= 1, and strong duality
with lifted products (mpec.lifting). The chain, iterated until nothing moves: intervals; LPs for slacks
and multipliers; automatic Slater points for multipliers that are still unbounded (mpec.slater); a known
bilevel-feasible point as cutoff (mpec.incumbent), for only points as good as it matter; branching on
pairs with basic multipliers where the leader doesn't use the duals (mpec.branching).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from mpec.bounds import least_activity
from mpec.branching import Branching
from mpec.complementarity import Bound, Linear, Pair
from mpec.elimination import eliminate_equalities
from mpec.exact_sums import summed_upwards
from mpec.incumbent import MOST_NODES, Found, good_point
from mpec.kkt import Kkt
from mpec.lifting import Lifting
from mpec.linear_model import LinearModel
from mpec.optimiser import Array, Inequalities, as_inequalities
from mpec.slater import automatic_points
from mpec.solvers.polytope import Polytope, propagate

MOST_ELIMINATED = 4_000_000
"""Entries of the dense matrix up to which equality rows are eliminated for the lifted rows."""

ROUNDS = 4
"""Passes of LPs over all pairs; later passes only serve sides that are still unbounded."""

MOST_PAIRS = 1_500
"""Pairs beyond which only unbounded sides get an LP."""

SMALL, LARGE = 500, 5_000
"""Columns up to which the search for a known point is thorough, and up to which there is any, or branching."""

MARGIN = 1e-7
"""Relative outward margin of derived bounds where they are used to derive others."""


@dataclass(frozen=True)
class ReducedFollower:
    """A follower without equality rows, except priced ones: its rows, and the model's columns of x, p, mu.

    ``priced`` (m,): the leader uses this row's multiplier, so it may not be chosen freely.
    """

    rows: Inequalities
    primal: Array
    given: Array
    multiplier: Array
    priced: Array


def reduce_follower(kkt: Kkt, priced_rows: Sequence[int]) -> ReducedFollower | None:
    """The follower with its other equalities eliminated; None where that is too large."""
    o = kkt.rows.optimiser
    equal = int(np.sum(o.row_lower == o.row_upper))
    if equal * len(o.columns) > MOST_ELIMINATED:
        return None
    reduced, recovery = eliminate_equalities(o, keep_rows=priced_rows)
    rows = as_inequalities(reduced)
    origins = zip(kkt.rows.origin_is_row, kkt.rows.index, kkt.rows.side, kkt.multiplier, strict=True)
    place = {(bool(r), int(i), s): int(c) for r, i, s, c in origins}
    multiplier = np.full(rows.rows, -1)
    priced = np.zeros(rows.rows, dtype=bool)
    for i in range(rows.rows):
        index = rows.index[i]
        if not rows.origin_is_row[i]:
            key = (False, int(recovery.kept[index]), rows.side[i])
        elif recovery.row_of[index] >= 0:
            key = (True, int(recovery.row_of[index]), rows.side[i])
            priced[i] = key[1] in priced_rows
        else:
            key = (False, int(recovery.column_of[index]), rows.side[i])
        multiplier[i] = place.get(key, -1)
    keep = (multiplier >= 0) & ~(rows.equality & rows.given_only)
    return ReducedFollower(
        rows.select(keep), kkt.primal[recovery.kept], kkt.given, multiplier[keep], priced[keep]
    )


@dataclass
class _Sides:
    """One side of all pairs: rows over the model's columns, constants, present bounds and their sources."""

    rows: sp.csr_matrix
    constant: Array
    value: Array
    source: list[str]

    @classmethod
    def of(cls, parts: Sequence[Linear], width: int) -> _Sides:
        matrix = sp.csr_matrix((0, width))
        if parts:
            starts = np.concatenate([[0], np.cumsum([len(p.columns) for p in parts])])
            columns = np.concatenate([p.columns for p in parts])
            values = np.concatenate([p.values for p in parts])
            matrix = sp.csr_matrix((values, columns, starts), shape=(len(parts), width))
        constant = np.array([p.constant for p in parts])
        return cls(matrix, constant, np.full(len(parts), math.inf), [""] * len(parts))

    def improve(self, i: int, value: float, source: str) -> None:
        if value < self.value[i] * (1.0 - 1e-12) or (math.isinf(self.value[i]) and math.isfinite(value)):
            self.value[i], self.source[i] = max(value, 0.0), source

    def bound(self, i: int) -> Bound | None:
        return Bound(float(self.value[i]), self.source[i]) if math.isfinite(self.value[i]) else None


class Derivation:
    """Derives bounds for pairs whose sides stand in ``model`` but that no mode has written yet."""

    def __init__(
        self, model: LinearModel, kkts: Sequence[Kkt], pairs: Sequence[Pair], priced: Sequence[Sequence[int]]
    ) -> None:
        self.model = model
        self.pairs = list(pairs)
        self.kkts, self.priced = list(kkts), list(priced)
        self.width = model.columns
        self.matrix = model.matrix()
        self.row_lower, self.row_upper = np.array(model.row_lower), np.array(model.row_upper)
        self.lower, self.upper = np.array(model.lower, dtype=float), np.array(model.upper, dtype=float)
        self.slack = _Sides.of([p.slack for p in self.pairs], self.width)
        self.multiplier = _Sides.of([p.multiplier for p in self.pairs], self.width)
        self.position = {
            int(p.multiplier.columns[0]): i
            for i, p in enumerate(self.pairs)
            if len(p.multiplier.columns) == 1
        }
        duals = {int(c) for kkt in kkts for c in kkt.multiplier[kkt.multiplier >= 0].tolist()}
        self.duals = duals
        self.slater: list[tuple[Array, float]] = []
        self.cutoff: tuple[Array, float] | None = None
        self.cutoff_note = ""
        self.known: Found | None = None
        self.lps = 0
        self.infeasible = False

    @cached_property
    def followers(self) -> list[ReducedFollower]:
        reduced = [reduce_follower(kkt, rows) for kkt, rows in zip(self.kkts, self.priced, strict=True)]
        return [f for f in reduced if f is not None]

    @cached_property
    def used_columns(self) -> set[int]:
        """Columns whose value matters: all but multipliers that the leader doesn't use."""
        held = {int(c) for f in self.followers for c in f.multiplier[f.priced]}
        return {j for j in range(self.width) if j not in self.duals or j in held}

    @cached_property
    def opposite(self) -> Array:
        return _opposites(self.pairs, self.slack)

    def intervals(self) -> list[Pair]:
        """The pairs with the bounds that single rows give, without any LP."""
        lower, upper = propagate(self.matrix, self.row_lower, self.row_upper, self.lower, self.upper)
        for sides in (self.slack, self.multiplier):
            most = _most(sides.rows, sides.constant, lower, upper)
            sides.value = np.maximum(most, 0.0)
            sides.source = ["single rows (interval propagation)"] * len(most)
        return [self._bounded(i) for i in range(len(self.pairs))]

    def run(self) -> list[Pair]:
        """The pairs with their bounds (None where nothing finite could be derived)."""
        self._fixed_rows()
        for step in range(ROUNDS):
            before = (self.slack.value.copy(), self.multiplier.value.copy())
            place = self.polytope()
            if not self.infeasible:
                self._solve_all(place, step)
            place.close()
            if self.infeasible or self._settled(before):
                break
            if step == 0 and not np.all(np.isfinite(self.multiplier.value)):
                self._slater_points()
        if not self.infeasible and not self.complete and self.width <= LARGE:
            self._cut_off()
        if not self.infeasible and not self.complete and self.width <= LARGE:
            Branching(self).run()
        if not self.infeasible and not self.complete:
            self._at_optimum()
        return [self._bounded(i) for i in range(len(self.pairs))]

    @property
    def complete(self) -> bool:
        return bool(np.all(np.isfinite(self.slack.value)) and np.all(np.isfinite(self.multiplier.value)))

    def _settled(self, before: tuple[Array, Array]) -> bool:
        for old, new in zip(before, (self.slack.value, self.multiplier.value), strict=True):
            if np.any((np.isinf(old) & np.isfinite(new)) | (new < 0.9 * old)):
                return False
        return True

    def _bounded(self, i: int) -> Pair:
        if self.infeasible:
            none = Bound(0.0, "no feasible point exists: the relaxation is empty")
            return self.pairs[i].bounded(none, none)
        return self.pairs[i].bounded(self.slack.bound(i), self.multiplier.bound(i))

    def _fixed_rows(self) -> None:
        """Rows that equality rows fix: an optimal multiplier 0 exists, which suits unless the leader uses
        it."""
        for f in self.followers:
            for i in np.flatnonzero(f.rows.given_only & ~f.priced):
                at = self.position.get(int(f.multiplier[i]))
                if at is not None:
                    self.multiplier.improve(
                        at, 0.0, "the row is fixed by equality rows: multiplier 0 is optimal"
                    )

    def polytope(self, lower: Array | None = None, upper: Array | None = None) -> Polytope:
        """The model's rows, the pairs' cuts, Slater rows and lifted strong duality, boxes propagated.

        With ``lower`` and ``upper`` (model columns) for a part of the space only: the derivation's own
        boxes then stay as they are.
        """
        part = lower is not None and upper is not None
        for column, i in self.position.items():
            if self.pairs[i].multiplier.values[0] == 1.0 and self.pairs[i].multiplier.constant == 0.0:
                most = self.multiplier.value[i] + MARGIN * (1.0 + self.multiplier.value[i])
                self.upper[column] = min(self.upper[column], most)
        low0 = self.lower if lower is None else np.maximum(lower, self.lower)
        high0 = self.upper if upper is None else np.minimum(upper, self.upper)
        lifting = Lifting(self.matrix, self.row_lower, self.row_upper, low0, high0)
        for i in range(len(self.pairs)):
            self._cuts(lifting, i)
        rows = list(self.slater) if self.cutoff is None else [*self.slater, self.cutoff]
        for row, right in rows:
            lifting.add(np.flatnonzero(row), row[np.flatnonzero(row)], -math.inf, right)
        for f in self.followers:
            lifting.strong_duality(f.rows, f.primal, f.given, f.multiplier)
        matrix, low, high, lower_all, upper_all = lifting.assembled()
        lower_all, upper_all = propagate(matrix, low, high, lower_all, upper_all, rounds=20)
        if not part:
            self.lower, self.upper = lower_all[: self.width], upper_all[: self.width]
        return Polytope(matrix, low, high, lower_all, upper_all)

    def _cuts(self, lifting: Lifting, i: int) -> None:
        """Each side below its bound, and s M + mu S <= S M (at most one of the two is positive).

        The bounds are used with an outward margin well above the LP solver's tolerance: a polyhedron that
        degenerates to a point must not look empty.
        """
        big_s, big_m = (v + MARGIN * (1.0 + v) for v in (self.slack.value[i], self.multiplier.value[i]))
        s, m = self.pairs[i].slack, self.pairs[i].multiplier
        for side, most in ((s, big_s), (m, big_m)):
            if math.isfinite(most):
                lifting.add(side.columns, side.values, -math.inf, most - side.constant)
        if min(big_s, big_m) > 1e-4 and max(big_s, big_m) < 1e8:
            on_s, on_m = big_m / max(big_s, big_m), big_s / max(big_s, big_m)
            columns = np.concatenate([s.columns, m.columns])
            values = np.concatenate([on_s * s.values, on_m * m.values])
            right = big_s * big_m / max(big_s, big_m) - on_s * s.constant - on_m * m.constant
            lifting.add(columns, values, -math.inf, right)

    def _solve_all(self, place: Polytope, step: int) -> None:
        few = len(self.pairs) <= MOST_PAIRS and step <= 1
        for i in range(len(self.pairs)):
            for sides in (self.slack, self.multiplier):
                if sides.value[i] <= 0.0 or not (few or math.isinf(sides.value[i])):
                    continue
                self._improve(place, i, sides)
                if place.empty:
                    # An empty relaxation proves infeasibility only if it is empty by more than rounding.
                    self.infeasible = place.surely_empty()
                    return

    def _improve(self, place: Polytope, i: int, sides: _Sides) -> None:
        cost = np.zeros(len(place.lower))
        part = self.pairs[i].slack if sides is self.slack else self.pairs[i].multiplier
        np.add.at(cost, part.columns, part.values)
        used = np.flatnonzero(cost)
        corner = np.where(cost[used] > 0, place.upper[used], place.lower[used])
        sides.improve(
            i,
            summed_upwards(cost[used] * corner, sides.constant[i]),
            f"single rows (interval propagation){self.cutoff_note}",
        )
        source = f"LP over the relaxation with strong duality lifted{self.cutoff_note}"
        if sides is self.multiplier and self.opposite[i] >= 0:
            # Two sides of one range are never active together, so one of their multipliers is 0.
            other = self.pairs[self.opposite[i]].multiplier
            np.subtract.at(cost, other.columns, other.values)
            source += ", opposite side inactive"
        value = math.nextafter(place.maximum(cost) + float(sides.constant[i]), math.inf)
        self.lps += 1
        if not place.empty:
            sides.improve(i, value, source)

    def _slater_points(self) -> None:
        """Automatic Slater points for followers with unbounded multipliers."""
        for f in self.followers:
            wanted = []
            for i in range(f.rows.rows):
                at = self.position.get(int(f.multiplier[i]))
                if at is not None and math.isinf(self.multiplier.value[at]):
                    wanted.append(i)
            low, high = self.lower[f.given], self.upper[f.given]
            for point in automatic_points(f.rows, low, high, wanted):
                found = point.row_on(f.rows, low, high, self.lower[f.primal], self.upper[f.primal])
                if found is not None:
                    slack, on_x, on_p, right = found
                    row = np.zeros(self.width)
                    np.add.at(row, f.multiplier, slack)
                    np.add.at(row, f.primal, on_x)
                    np.add.at(row, f.given, on_p)
                    self.slater.append((row, right + 1e-9 * (1.0 + abs(right))))

    def _cut_off(self) -> None:
        """With a bilevel-feasible point of value v, only points at least as good need to be bounded."""
        small = self.width <= SMALL
        self.known = good_point(self.model, self.pairs, most_nodes=MOST_NODES if small else MOST_NODES // 20)
        x = self.known.x
        if x is None:
            return
        sign = -1.0 if self.model.maximise else 1.0
        cost = sign * np.array(self.model.cost)
        value = float(cost @ x)
        self.cutoff = (cost, value + 1e-6 * (1.0 + abs(value)))
        self.cutoff_note = f", leader's objective at least as good as a known {self.model.objective(x):.6g}"
        for _ in range(ROUNDS):
            before = (self.slack.value.copy(), self.multiplier.value.copy())
            place = self.polytope()
            if not self.infeasible:
                self._solve_all(place, 2)
            place.close()
            if self.infeasible or self.complete or self._settled(before):
                break
        if self.infeasible:
            # The known point itself is feasible: an empty relaxation can only be rounding.
            self.infeasible, self.cutoff = False, None

    def _at_optimum(self) -> None:
        """Bounds that hold at a point proven optimal by branching without any M: a model that contains it
        has the same optimum. Not for pairs of followers whose duals the leader uses."""
        if self.known is None or self.known.x is None or not self.known.optimal:
            return
        used = {
            self.position[int(c)]
            for kkt, rows in zip(self.kkts, self.priced, strict=True)
            if rows
            for c in kkt.multiplier
            if int(c) in self.position
        }
        source = (
            f"at the optimum, which {self.known.nodes} LPs of complementarity branching prove without any M"
        )
        for i, pair in enumerate(self.pairs):
            for sides, part in ((self.slack, pair.slack), (self.multiplier, pair.multiplier)):
                if math.isinf(sides.value[i]) and i not in used:
                    sides.improve(i, 2.0 * max(part.at(self.known.x), 0.0) + 1.0, source)


def _most(rows: sp.csr_matrix, constant: Array, lower: Array, upper: Array) -> Array:
    """Largest value of each row and its constant over the box, rounded upwards."""
    return np.asarray(np.nextafter(constant - least_activity(-rows, lower, upper), math.inf))


def _opposites(pairs: Sequence[Pair], slack: _Sides) -> Array:
    """For each pair the position of the other side of the same range (lower < upper), or -1."""
    at = {p.name: i for i, p in enumerate(pairs)}
    out = np.full(len(pairs), -1)
    for i, p in enumerate(pairs):
        for mine, other in ((".lower", ".upper"), (".upper", ".lower")):
            j = at.get(p.name[: -len(mine)] + other, -1) if p.name.endswith(mine) else -1
            if j < 0 or slack.constant[i] + slack.constant[j] <= 1e-9:
                continue
            if abs(slack.rows[i] + slack.rows[j]).sum() == 0.0:
                out[i] = j
    return out
