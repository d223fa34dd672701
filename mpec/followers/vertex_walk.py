"""A linear program of a few dimensions, solved from vertex to vertex: which split of ties is favoured.

    find s with   now + moves s >= 0   that minimises   sum_m max(effect_m s - room_m, 0),
    among these the largest favour . s, among those the largest order . s (a generic vector)

The last makes the answer one and the same point whatever the starting flows' place on the ties was and however
sums were rounded. The set must be bounded, s = 0 allowed. Dictionaries are dense: with at most some forty rows
and twenty columns a step takes microseconds where setting up an LP solver takes milliseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ENTRY = 1e-9
"""Entries of the dictionary within this of 0 are no pivots; rows are of the size of 1 at first."""

SLACK = 1e-12
"""A row may fall this far below 0 (of the largest flow) where that allows a larger pivot (Harris)."""

SLACK_CURVED = 1e-7
"""The same on tangents of a curved set: entries of second order there must not become pivots, which would blow
up rounding; the split is led back to an equilibrium anyway."""

LEVEL = 1e-9
"""Gradients within this share of their first largest entry are level."""

PATIENCE = 40
"""After so many pivots of one stage the first promising column is taken (Bland), which can't cycle."""


def best_step(
    moves: Array,
    now: Array,
    effect: Array,
    room: Array,
    favour: Array,
    order: Array,
    *,
    curved: bool = False,
) -> Array | None:
    """The step s (D,); moves (n, D), now (n,) >= 0, effect (m, D), room (m,), favour and order (D,).

    None where the walk does not end at an allowed point (a set without bounds, numbers too far apart).
    """
    size = np.maximum(np.abs(effect).max(axis=1, initial=0.0), 1e-300)
    slack = (SLACK_CURVED if curved else SLACK) * (1.0 + float(now.max(initial=0.0)))
    walk = _Walk(moves, now, effect / size[:, None], room / size, slack)
    walk.set_gradients(size, favour, order)
    for column in range(walk.free):
        if not walk.settle(column):
            return None
    for stage in range(walk.stages):
        if not walk.climb(stage):
            return None
        walk.close(stage)
    step = walk.step()
    return step if float((now + moves @ step).min(initial=0.0)) >= -1e3 * slack else None


class _Walk:
    """basic = value + entries . x, all x (nonbasic) at 0; the first ``free`` columns are s until settled.

    Rows: n flows, m limits, then what each stage climbs (its gradient over the columns). A limit that is
    exceeded has its excess in the basis and its slack outside, any other the other way round.
    """

    def __init__(self, moves: Array, now: Array, effect: Array, room: Array, slack: float) -> None:
        self.slack = slack
        exceeded = room < 0.0
        self.over = bool(exceeded.any())
        self.free = moves.shape[1]
        sign = np.where(exceeded, 1.0, -1.0)
        entries = np.vstack([moves, sign[:, None] * effect])
        if self.over:
            own = np.vstack([np.zeros((len(now), len(room))), np.eye(len(room))])
            entries = np.hstack([entries, own])
        self.entries, self.exceeded = entries, exceeded
        self.rows = len(entries)
        self.stages = 3 if self.over else 2
        self.value = np.zeros(self.rows + self.stages)
        self.value[: self.rows] = np.concatenate([now, np.abs(room)])
        self.limited = np.zeros(len(self.value), bool)
        self.limited[: self.rows] = True
        self.open = np.ones(entries.shape[1], bool)
        self.open[: self.free] = False
        self.row_of = np.full(self.free, -1)

    def set_gradients(self, size: Array, favour: Array, order: Array) -> None:
        """Of minus the total excess (excesses in the basis through their rows, the others by themselves), of
        what is favoured, and of the generic order."""
        gradients = np.zeros((self.stages, self.entries.shape[1]))
        gradients[-2, : self.free], gradients[-1, : self.free] = favour, order
        if self.over:
            rows = np.flatnonzero(self.exceeded) + self.rows - len(size)
            gradients[0] = -(size[self.exceeded] @ self.entries[rows])
            gradients[0, self.free :] -= np.where(self.exceeded, 0.0, size)
        gradients /= np.maximum(np.abs(gradients).max(axis=1, initial=0.0), 1e-300)[:, None]
        self.entries = np.vstack([self.entries, gradients])

    def settle(self, column: int) -> bool:
        """Bring a coordinate of s into the basis, uphill until something blocks."""
        slopes = self.entries[self.rows :, column].tolist()
        slope = next((s for s in slopes if abs(s) > LEVEL), 1.0)
        for way in (1.0, -1.0) if slope > 0.0 else (-1.0, 1.0):
            row = self._blocking(way * self.entries[:, column])
            if row >= 0:
                self._pivot(row, column)
                self.limited[row] = False
                self.row_of[column] = row
                self.open[column] = True
                return True
        return False

    def climb(self, stage: int) -> bool:
        """Simplex steps on one gradient until no open column leads up."""
        for count in range(20 * PATIENCE):
            leads = np.where(self.open, self.entries[self.rows + stage], 0.0)
            column = int(leads.argmax()) if count < PATIENCE else int((leads > LEVEL).argmax())
            if leads[column] <= LEVEL:
                return True
            row = self._blocking(self.entries[:, column])
            if row < 0:
                return False
            self._pivot(row, column)
        return False

    def close(self, stage: int) -> None:
        """Columns that would lead down from what was reached stay at 0 from now on."""
        self.open &= self.entries[self.rows + stage] >= -LEVEL

    def step(self) -> Array:
        return np.asarray(self.value[self.row_of])

    def _blocking(self, change: Array) -> int:
        """Of the rows that reach 0 first along a change, within the slack, the steepest; -1 if none does."""
        falls = np.flatnonzero((change < -ENTRY) & self.limited)
        if not len(falls):
            return -1
        steep, value = -change[falls], self.value[falls]
        reach = float(((value + self.slack) / steep).min())
        return int(falls[np.where(value <= reach * steep, steep, 0.0).argmax()])

    def _pivot(self, row: int, column: int) -> None:
        """The column's variable into the basis, the row's out, at 0."""
        entries = self.entries
        pivot, along = entries[row, column], entries[:, column].copy()
        moved = -self.value[row] / pivot
        self.value += along * moved
        np.maximum(self.value, 0.0, out=self.value, where=self.limited)
        self.value[row] = moved
        new = entries[row] / -pivot
        new[column] = 1.0 / pivot
        entries[:, column] = 0.0
        entries += along[:, None] * new
        entries[row] = new
