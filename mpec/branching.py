"""Bounds by branching on pairs, where one relaxation leaves a side unbounded.

For a side without a bound the space is split: s_k = 0 or mu_k = 0 of a pair k along which the relaxation
runs away (the support of its recession ray), until every part is empty or bounds the side. Where rows
that are all active are linearly dependent, multipliers can grow together without limit; but if the leader
doesn't use them, a *basic* optimal multiplier vector can be chosen: positive multipliers belong to
independent rows, so one of the dependent ones is zero, and that is a split, too. All bounds found hold for
every basic optimal multiplier vector at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.sparse as sp

from mpec.complementarity import Linear
from mpec.optimiser import Array
from mpec.solvers.polytope import Polytope

if TYPE_CHECKING:
    from mpec.derivation import Derivation

MOST_NODES = 80
"""Parts looked at for one side."""

MOST_ALL = 600
"""Parts looked at for one model."""

Which = Literal["slack", "multiplier"]


@dataclass(frozen=True)
class _Part:
    """A part of the space: pairs whose slack, or multiplier, is zero in it."""

    active: frozenset[int]
    inactive: frozenset[int]


class Branching:
    """Tries to bound every side of ``derivation`` that is still unbounded."""

    def __init__(self, derivation: Derivation) -> None:
        self.d = derivation
        self.left = MOST_ALL
        self.basic = False
        self.priced = {
            derivation.position[int(c)]
            for f in derivation.followers
            for c in f.multiplier[f.priced]
            if int(c) in derivation.position
        }

    def run(self) -> None:
        for which in ("multiplier", "slack"):
            sides = self.d.multiplier if which == "multiplier" else self.d.slack
            for i in range(len(self.d.pairs)):
                if math.isinf(sides.value[i]):
                    self.basic = False
                    value, parts = self._bound(i, "multiplier" if which == "multiplier" else "slack")
                    if value is None:
                        # One side without a bound is enough for a refusal: the others are not worth their LPs.
                        sides.source[i] = f"not bounded by branching either ({parts} parts)"
                        return
                    kind = "basic multipliers, " if self.basic else ""
                    sides.improve(i, value, f"{kind}branching on pairs ({parts} parts){self.d.cutoff_note}")

    def _bound(self, target: int, which: Which) -> tuple[float | None, int]:
        """(upper bound of the side over all parts or None, parts looked at)."""
        # Where one side is positive the other is zero; the part with this side zero bounds it by 0.
        start = (
            _Part(frozenset([target]), frozenset())
            if which == "multiplier"
            else _Part(frozenset(), frozenset([target]))
        )
        stack, worst, parts = [start], 0.0, 0
        while stack:
            part = stack.pop()
            parts += 1
            self.left -= 1
            if parts > MOST_NODES or self.left < 0:
                return None, parts
            outcome = self._examine(part, target, which)
            if isinstance(outcome, float):
                worst = max(worst, outcome)
            elif not outcome:
                return None, parts
            else:
                stack += outcome
        return worst, parts

    def _examine(self, part: _Part, target: int, which: Which) -> float | list[_Part]:
        """A finite bound on this part, or its children; no children: it is unbounded for good."""
        place = self._restricted(part)
        try:
            side = self.d.pairs[target].slack if which == "slack" else self.d.pairs[target].multiplier
            cost = np.zeros(len(place.lower))
            np.add.at(cost, side.columns, side.values)
            value = place.maximum(cost) + side.constant
            if place.empty:
                if place.surely_empty():
                    return 0.0
                place.close()
                place = place.widened()
                value = place.maximum(cost) + side.constant
            if math.isfinite(value):
                return max(value, 0.0)
            return self._children(part, place, self._ray(place, cost))
        finally:
            place.close()

    def _restricted(self, part: _Part) -> Polytope:
        """The relaxation on the part; sides that are one column become column bounds, which sharpens
        products."""
        low, high = np.full(self.d.width, -math.inf), np.full(self.d.width, math.inf)
        rows: list[Linear] = []
        for indices, which in ((part.active, "slack"), (part.inactive, "multiplier")):
            for i in indices:
                side = self.d.pairs[i].slack if which == "slack" else self.d.pairs[i].multiplier
                if len(side.columns) == 1:
                    j, value = int(side.columns[0]), -side.constant / side.values[0]
                    if side.values[0] > 0:
                        high[j] = min(high[j], value)
                    else:
                        low[j] = max(low[j], value)
                else:
                    rows.append(side)
        place = self.d.polytope(low, high)
        if not rows:
            return place
        width = len(place.lower)
        where = (
            np.concatenate([np.full(len(r.columns), i) for i, r in enumerate(rows)]),
            np.concatenate([r.columns for r in rows]),
        )
        extra = sp.csr_matrix((np.concatenate([r.values for r in rows]), where), shape=(len(rows), width))
        closed = Polytope(
            sp.vstack([place.matrix, extra]).tocsr(),
            np.concatenate([place.row_lower, np.full(len(rows), -math.inf)]),
            np.concatenate([place.row_upper, [-r.constant for r in rows]]),
            place.lower,
            place.upper,
        )
        return closed

    def _ray(self, place: Polytope, cost: Array) -> Array:
        """A direction of the recession cone along which the side grows by 1, of least sum of absolute
        values, so that nothing moves along that has no part in it; zero if there is none."""
        width = len(cost)

        def homogeneous(bounds: Array, infinite: float) -> Array:
            return np.where(np.isinf(bounds), infinite, 0.0)

        matrix = sp.vstack([place.matrix, sp.csr_matrix(cost)]).tocsr()
        cone = Polytope(
            sp.hstack([matrix, -matrix]).tocsr(),
            np.concatenate([homogeneous(place.row_lower, -math.inf), [1.0]]),
            np.concatenate([homogeneous(place.row_upper, math.inf), [1.0]]),
            np.zeros(2 * width),
            np.concatenate([homogeneous(place.upper, math.inf), -homogeneous(place.lower, -math.inf)]),
        )
        try:
            cone.minimum(np.ones(2 * width), exact=True)
            ray = cone.point
        finally:
            cone.close()
        return np.zeros(width) if ray is None else ray[:width] - ray[width:]

    def _children(self, part: _Part, place: Polytope, ray: Array) -> list[_Part]:
        """Split along the ray, else by dependent rows, else by a pair that a point of the part violates."""
        d = self.d
        x = ray[: d.width]
        grow_s = d.slack.rows @ x > 1e-9
        grow_m = d.multiplier.rows @ x > 1e-9
        known = part.active | part.inactive
        both = [i for i in np.flatnonzero(grow_s & grow_m).tolist() if i not in known]
        either = [i for i in np.flatnonzero(grow_s | grow_m).tolist() if i not in known]
        if both or either:
            return self._split(part, (both or either)[0])
        growing = [i for i in np.flatnonzero(grow_m).tolist() if i not in part.inactive]
        if not growing or self._moves_others(x, growing) or any(i in self.priced for i in growing):
            # The ray keeps every pair; if a point of the part does, too, the side is unbounded for good.
            i = self._violated(place, known)
            return [] if i < 0 else self._split(part, i)
        # Every growing multiplier's row is active and the rows are dependent: a basic vector has a zero
        # among them.
        self.basic = True
        return [_Part(part.active, part.inactive | {i}) for i in growing]

    @staticmethod
    def _split(part: _Part, i: int) -> list[_Part]:
        return [_Part(part.active | {i}, part.inactive), _Part(part.active, part.inactive | {i})]

    def _violated(self, place: Polytope, known: frozenset[int]) -> int:
        """An undecided pair with both sides positive at some point of the part, -1 if there is none."""
        place.minimum(np.zeros(len(place.lower)), exact=True)
        if place.point is None:
            return -1
        x = place.point[: self.d.width]
        smaller = np.minimum(
            self.d.slack.rows @ x + self.d.slack.constant,
            self.d.multiplier.rows @ x + self.d.multiplier.constant,
        )
        smaller[list(known)] = 0.0
        return int(np.argmax(smaller)) if smaller.max(initial=0.0) > 1e-7 else -1

    def _moves_others(self, x: Array, growing: list[int]) -> bool:
        """Whether the ray changes anything but multipliers that nobody uses."""
        d = self.d
        still = x.copy()
        for i in growing:
            still[d.pairs[i].multiplier.columns] = 0.0
        free = {int(c) for f in d.followers for c in f.multiplier}
        moved = np.flatnonzero(np.abs(still) > 1e-9).tolist()
        # Free multipliers of equality rows that were eliminated follow the others; prices may not move.
        return any(j in d.used_columns or (j in free) for j in moved)
