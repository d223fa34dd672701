"""The best hour of every try: equilibria of single hours, kept while whole days are polished.

A day's polish may fail in one hour and be excellent in the others. So every hour of every try that is an
equilibrium by itself is looked at with its Lagrangian value, and the best hours together are the next day's start.
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
    """The best equilibrium of every hour, all at the same multipliers."""

    hours: dict[int, PooledHour] = field(default_factory=dict)

    def add(self, t: int, prices: Array, flows: Array, value: float) -> None:
        """Keep the hour if it is better than the one that is there, by more than rounding."""
        known = self.hours.get(t)
        if known is None or value > known.value + 1e-9 * max(abs(value), 1.0):
            self.hours[t] = PooledHour(prices.copy(), flows.copy(), value)

    def best_day(self, prices: Array, flows: Array) -> tuple[Array, Array]:
        """The best hours side by side, (M, T) and (R, T); hours without one are taken from the arguments."""
        prices, flows = prices.copy(), flows.copy()
        for t, hour in self.hours.items():
            prices[:, t], flows[:, t] = hour.prices, hour.flows
        return prices, flows
