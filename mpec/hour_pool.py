"""The best hour of every try: equilibria of single hours, kept while whole days are polished.

A day's polish may fail in one hour and be excellent in the others. So every hour of every try that is an
equilibrium by itself is kept with its Lagrangian value, and the best hours together are the next day's start.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class PooledHour:
    """prices (M,), flows (R,), and the hour's profit with the coupling priced in, money."""

    prices: Array
    flows: Array
    value: float


@dataclass
class HourPool:
    """The best few equilibria per hour, by value at the multipliers that were current when they came."""

    keep: int = 4
    hours: dict[int, list[PooledHour]] = field(default_factory=dict)

    def add(self, t: int, prices: Array, flows: Array, value: float) -> None:
        mine = self.hours.setdefault(t, [])
        if any(abs(value - h.value) <= 1e-9 * max(abs(value), 1.0) for h in mine):
            return
        mine.append(PooledHour(prices.copy(), flows.copy(), value))
        mine.sort(key=lambda h: -h.value)
        del mine[self.keep :]

    def best_day(self, prices: Array, flows: Array) -> tuple[Array, Array]:
        """The best hours side by side, (M, T) and (R, T); hours without one are taken from the arguments."""
        prices, flows = prices.copy(), flows.copy()
        for t, mine in self.hours.items():
            prices[:, t], flows[:, t] = mine[0].prices, mine[0].flows
        return prices, flows
