"""Where the operator's price stays the same: the linear pieces of its cost V(P), hour by hour.

V is convex and piecewise linear in the stations' loads, and the price that the leader pays is the slope of
the piece that holds at its loads. At a kink every price between the pieces is the operator's, and the rule
is the leader's: so the best loads often lie exactly at the end of a cheap piece. Polish is told which piece
to stay on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mpec.followers.dispatch import DispatchSolver

Array = np.ndarray

KINK_MARGIN = 4e-7
"""Relative distance kept from where the operator's price jumps: the judge takes loads within 2e-7 of a
kink for being on it, and then every price of the jump is the operator's."""

CAREFUL_MARGINS = (2e-6, 2e-5, 2e-4)
"""The distances kept once the judge has refused a point, one after the other: where several stations share a limit, or
a voltage limit hardly feels a station's load, more is needed. A city's day, 12 stations on 141 buses, took 2e-5."""

NEARBY = (0.9, 0.97, 1.03, 1.1)
"""Shares of the loads at which neighbouring pieces are looked for."""


@dataclass
class CostPieces:
    """Slopes (M,) money per kW and levels (money) of the pieces met so far, per hour."""

    solver: DispatchSolver
    known: dict[int, list[tuple[Array, float]]] = field(default_factory=dict)
    margin: float = KINK_MARGIN

    def at(self, t: int, load: Array, *, explore: bool) -> tuple[Array, list[tuple[Array, float]]]:
        """The price (M,) to reckon with near ``load`` (M,), and the rows normal.P <= limit where it holds.

        With ``explore`` the pieces around are looked up first, so that polish knows where they begin.
        """
        dt = self.solver.instance.period_h
        own = self._look(t, load)
        if explore:
            single = [
                load * (1 + 0.05 * (np.arange(len(load)) == m)) for m in range(len(load)) if load[m] > 0
            ]
            for other in [*(share * load for share in NEARBY), *single]:
                self._look(t, other)
        slope, level = self.known[t][own]
        rows = []
        for i, (other, base) in enumerate(self.known[t]):
            if i == own:
                continue
            # other.P + base <= slope.P + level, a hair inside so that rounding can't cross the kink.
            size = float(np.abs(other - slope).max())
            limit = (level - base) / size - self.margin * (1.0 + abs(level - base) / size)
            rows.append(((other - slope) / size, limit))
        return slope / dt, rows

    def _look(self, t: int, load: Array) -> int:
        """The index of the piece that holds at ``load``."""
        dt = self.solver.instance.period_h
        price, cost = self.solver.prices(t, load[None])
        slope = dt * price[0]
        pieces = self.known.setdefault(t, [])
        for i, (other, _) in enumerate(pieces):
            if np.allclose(slope, other, rtol=1e-7, atol=1e-9):
                return i
        pieces.append((slope, dt * float(cost[0]) - float(slope @ load)))
        return len(pieces) - 1
