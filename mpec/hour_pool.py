"""The best hours of every try: equilibria of single hours, kept while whole days are polished.

A day's polish may fail in one hour and be excellent in the others. So every hour of every try that is an
equilibrium by itself is kept with what it earns, and the best hours together are the next day's start. What
the best is depends on the day's multipliers; they change, the equilibria stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mpec.coupling import Multipliers

Array = np.ndarray

KEPT = 24
"""Equilibria kept of an hour: the best at the multipliers in force. At others, others are."""


@dataclass(frozen=True)
class PooledHour:
    """An equilibrium of hour ``t``: prices (M,), flows (R,), loads (M,) of the leader's stations, residuals
    that arrive and leave (N,).

    ``profit`` is the hour's, money; under tariff `regulated` its revenue alone, as the bill couples the hours.
    """

    t: int
    prices: Array
    flows: Array
    load: Array
    incoming: Array
    residual: Array
    profit: float

    def value(self, multipliers: Multipliers, period_h: float) -> float:
        """profit - cap.rho - link_t.incoming + link_{t+1}.residual [- dt c~_t.P]: the hour's Lagrangian."""
        total = self.profit - float(multipliers.cap @ self.prices)
        total -= float(multipliers.link[:, self.t] @ self.incoming)
        if self.t + 1 < multipliers.link.shape[1]:
            total += float(multipliers.link[:, self.t + 1] @ self.residual)
        if multipliers.tariff is not None:
            total -= period_h * float(multipliers.tariff[:, self.t] @ self.load)
        return total


@dataclass
class HourPool:
    """Equilibria of every hour, the best first."""

    period_h: float
    multipliers: Multipliers
    hours: dict[int, list[PooledHour]] = field(default_factory=dict)

    def add(self, hour: PooledHour) -> None:
        """Keep the hour if it is among the best; a hair from one that is there is the same."""
        mine, value = self.hours.setdefault(hour.t, []), self.value_of(hour)
        if any(
            abs(self.value_of(other) - value) <= 1e-9 * max(abs(value), 1.0)
            and np.allclose(other.prices, hour.prices, rtol=0.0, atol=1e-7)
            for other in mine
        ):
            return
        mine.append(hour)
        self._sort(hour.t)

    def price(self, multipliers: Multipliers) -> None:
        """From here on these multipliers say which hours are best."""
        self.multipliers = multipliers
        for t in self.hours:
            self._sort(t)

    def _sort(self, t: int) -> None:
        self.hours[t].sort(key=lambda hour: -self.value_of(hour))
        del self.hours[t][KEPT:]

    def value_of(self, hour: PooledHour) -> float:
        return hour.value(self.multipliers, self.period_h)

    def best(self, t: int) -> PooledHour | None:
        mine = self.hours.get(t)
        return mine[0] if mine else None

    def known(self, t: int) -> float | None:
        """What the best equilibrium of hour t earns at the multipliers; None before there is one."""
        best = self.best(t)
        return None if best is None else self.value_of(best)

    def best_day(self, prices: Array, flows: Array) -> tuple[Array, Array]:
        """The best hours side by side, (M, T) and (R, T); hours without one are taken from the arguments."""
        prices, flows = prices.copy(), flows.copy()
        for t in self.hours:
            hour = self.best(t)
            if hour is not None:
                prices[:, t], flows[:, t] = hour.prices, hour.flows
        return prices, flows
