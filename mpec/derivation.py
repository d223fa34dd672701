"""Bounds on all pairs of a single-level model, derived from the model itself.

Works on one polyhedron that contains every bilevel-feasible point with its multipliers: the leader's
linear rows, all followers' feasibility and stationarity rows, cuts s/S + mu/M <= 1, and strong duality
with lifted products (mpec.lifting). The chain, iterated until nothing moves: intervals; LPs for slacks
and multipliers; automatic Slater points for multipliers that are still unbounded (mpec.slater); basic
multipliers where the leader doesn't use the follower's duals (mpec.basic_duals).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from mpec.basic_duals import basic_bounds
from mpec.complementarity import Bound, Linear, Pair
from mpec.elimination import eliminate_equalities
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

OUTWARD = 1.0 + 1e-9
"""Factor on values that come from linear algebra instead of a safe LP bound."""


@dataclass(frozen=True)
class ReducedFollower:
    """A follower without equality rows: its rows, and the model's columns of x, p and each mu."""

    rows: Inequalities
    primal: Array
    given: Array
    multiplier: Array
    uses_duals: bool


def reduce_follower(kkt: Kkt, uses_duals: bool) -> ReducedFollower | None:
    """The follower with its equalities eliminated; None where that is too large."""
    o = kkt.rows.optimiser
    equal = int(np.sum(o.row_lower == o.row_upper))
    if equal * len(o.columns) > MOST_ELIMINATED:
        return None
    reduced, recovery = eliminate_equalities(o)
    rows = as_inequalities(reduced)
    origins = zip(kkt.rows.origin_is_row, kkt.rows.index, kkt.rows.side, kkt.multiplier, strict=True)
    place = {(bool(r), int(i), s): int(c) for r, i, s, c in origins}
    multiplier = np.full(rows.rows, -1)
    for i in range(rows.rows):
        index = rows.index[i]
        if not rows.origin_is_row[i]:
            key = (False, int(recovery.kept[index]), rows.side[i])
        elif recovery.row_of[index] >= 0:
            key = (True, int(recovery.row_of[index]), rows.side[i])
        else:
            key = (False, int(recovery.column_of[index]), rows.side[i])
        multiplier[i] = place.get(key, -1)
    if np.any(rows.equality & ~rows.given_only):
        return None
    keep = ~rows.equality & (multiplier >= 0)
    return ReducedFollower(
        rows.select(keep), kkt.primal[recovery.kept], kkt.given, multiplier[keep], uses_duals
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
        row = [np.full(len(p.columns), i) for i, p in enumerate(parts)]
        where = (np.concatenate(row), np.concatenate([p.columns for p in parts])) if parts else ([], [])
        values = np.concatenate([p.values for p in parts]) if parts else []
        matrix = sp.csr_matrix((values, where), shape=(len(parts), width))
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
        self, model: LinearModel, kkts: Sequence[Kkt], pairs: Sequence[Pair], uses_duals: Sequence[bool]
    ) -> None:
        self.pairs = list(pairs)
        reduced = [reduce_follower(kkt, uses) for kkt, uses in zip(kkts, uses_duals, strict=True)]
        self.followers = [f for f in reduced if f is not None]
        self.width = model.columns
        self.matrix = model.matrix()
        self.row_lower, self.row_upper = np.array(model.row_lower), np.array(model.row_upper)
        self.lower, self.upper = np.array(model.lower, dtype=float), np.array(model.upper, dtype=float)
        self.slack = _Sides.of([p.slack for p in self.pairs], self.width)
        self.multiplier = _Sides.of([p.multiplier for p in self.pairs], self.width)
        self.position = {
            int(p.multiplier.columns[0]): i for i, p in enumerate(self.pairs) if len(p.multiplier.columns) == 1
        }
        self.opposite = _opposites(self.pairs, self.slack)
        self.slater: list[tuple[Array, float]] = []
        self.lps = 0
        self.infeasible = False

    def run(self) -> list[Pair]:
        """The pairs with their bounds (None where nothing finite could be derived)."""
        self._fixed_rows()
        for step in range(ROUNDS):
            before = (self.slack.value.copy(), self.multiplier.value.copy())
            place = self._polytope()
            if not self.infeasible:
                self._solve_all(place, step)
            place.close()
            if self.infeasible or self._settled(before):
                break
            if step == 0 and not np.all(np.isfinite(self.multiplier.value)):
                self._slater_points()
        if not self.infeasible and not self.complete:
            self._basic()
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
            return replace(self.pairs[i], slack_bound=none, multiplier_bound=none)
        return replace(self.pairs[i], slack_bound=self.slack.bound(i), multiplier_bound=self.multiplier.bound(i))

    def _fixed_rows(self) -> None:
        """Rows that equality rows fix: an optimal multiplier 0 exists, which suits unless the leader uses it."""
        for f in self.followers:
            for i in np.flatnonzero(f.rows.given_only & (not f.uses_duals)):
                at = self.position.get(int(f.multiplier[i]))
                if at is not None:
                    self.multiplier.improve(at, 0.0, "the row is fixed by equality rows: multiplier 0 is optimal")

    def _polytope(self) -> Polytope:
        """The model's rows, the pairs' cuts, Slater rows and lifted strong duality, boxes propagated."""
        for column, i in self.position.items():
            if self.pairs[i].multiplier.values[0] == 1.0 and self.pairs[i].multiplier.constant == 0.0:
                self.upper[column] = min(self.upper[column], self.multiplier.value[i])
        lifting = Lifting(self.matrix, self.row_lower, self.row_upper, self.lower, self.upper)
        for i in range(len(self.pairs)):
            self._cuts(lifting, i)
        for row, right in self.slater:
            lifting.add(np.flatnonzero(row), row[np.flatnonzero(row)], -math.inf, right)
        for f in self.followers:
            lifting.strong_duality(f.rows, f.primal, f.given, f.multiplier)
        matrix, low, high, lower, upper = lifting.assembled()
        lower, upper = propagate(matrix, low, high, lower, upper, rounds=20)
        if np.any(lower > upper + 1e-7 * (1.0 + np.abs(lower))):
            self.infeasible = True
        lower, upper = np.minimum(lower, upper), np.maximum(lower, upper)
        self.lower, self.upper = lower[: self.width], upper[: self.width]
        return Polytope(matrix, low, high, lower, upper)

    def _cuts(self, lifting: Lifting, i: int) -> None:
        """Each side below its bound, and s/S + mu/M <= 1 (at most one of the two is positive)."""
        big_s, big_m = self.slack.value[i], self.multiplier.value[i]
        for sides in (self.slack, self.multiplier):
            if math.isfinite(sides.value[i]):
                row = sides.rows[i]
                lifting.add(row.indices, row.data, -math.inf, sides.value[i] - sides.constant[i])
        if 0.0 < big_s < math.inf and 0.0 < big_m < math.inf:
            s, m = self.slack.rows[i], self.multiplier.rows[i]
            right = 1.0 - self.slack.constant[i] / big_s - self.multiplier.constant[i] / big_m
            lifting.add(
                np.concatenate([s.indices, m.indices]), np.concatenate([s.data / big_s, m.data / big_m]), -math.inf, right
            )

    def _solve_all(self, place: Polytope, step: int) -> None:
        few = len(self.pairs) <= MOST_PAIRS and step <= 1
        for i in range(len(self.pairs)):
            for sides in (self.slack, self.multiplier):
                if sides.value[i] <= 0.0 or not (few or math.isinf(sides.value[i])):
                    continue
                self._improve(place, i, sides)
                if place.empty:
                    self.infeasible = True
                    return

    def _improve(self, place: Polytope, i: int, sides: _Sides) -> None:
        cost = np.zeros(len(place.lower))
        cost[: self.width] = sides.rows[i].toarray().ravel()
        used = np.flatnonzero(cost)
        corner = np.where(cost[used] > 0, place.upper[used], place.lower[used])
        sides.improve(i, float(cost[used] @ corner) + sides.constant[i], "single rows (interval propagation)")
        source = "LP over the relaxation with strong duality lifted"
        if sides is self.multiplier and self.opposite[i] >= 0:
            # Two sides of one range are never active together, so one of their multipliers is 0.
            cost[: self.width] -= sides.rows[self.opposite[i]].toarray().ravel()
            source += ", opposite side inactive"
        value = place.maximum(cost) + float(sides.constant[i])
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

    def _basic(self) -> None:
        """Bounds over basic multipliers, for followers whose duals the leader doesn't use."""
        place = self._polytope()
        for f in self.followers:
            at = np.array([self.position.get(int(c), -1) for c in f.multiplier], dtype=int)
            want_multiplier = np.array([a >= 0 and math.isinf(self.multiplier.value[a]) for a in at], dtype=bool)
            want_slack = np.array([a >= 0 and math.isinf(self.slack.value[a]) for a in at], dtype=bool)
            if f.uses_duals or not (want_multiplier.any() or want_slack.any()):
                continue
            found = basic_bounds(
                f.rows, place, f.primal, f.given, want_multiplier=want_multiplier, want_slack=want_slack
            )
            if found is None:
                continue
            source = f"basic multipliers ({found.bases} bases enumerated)"
            for i in range(f.rows.rows):
                for wanted, sides, new in (
                    (want_multiplier[i], self.multiplier, found.multiplier[i]),
                    (want_slack[i], self.slack, found.slack[i]),
                ):
                    if wanted and new < math.inf:
                        sides.improve(int(at[i]), max(float(new), 0.0) * OUTWARD, source)
        place.close()


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
