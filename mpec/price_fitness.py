"""What prices are worth to the heuristic: the followers' profit, capacities by Deb's rules, and what a run learns.

Why so: see mpec.gravitational_search.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from formulations.prices import on_grid, searched
from instances.model import Instance
from mpec.mean_caps import price_limits, project_mean_caps
from mpec.price_levels import PriceLevels
from mpec.tolerances import AIM

Array = np.ndarray

_JUST = 1e-6
"""Share of the least allowed profit by which prices that aren't allowed come below it."""


NEAR, FAR = -5.0, -1.0
"""Powers of ten between which the reach of a step away from the least overloading distances is drawn."""


class Answers(Protocol):
    """The followers, asked for a whole batch of prices (n, M, T).

    They return the profits (n,), money, and the excess over the stations' capacities by hour (n, T), kWh.
    """

    def evaluate_hours(self, prices: Array) -> tuple[Array, Array]: ...


class PriceFitness:
    """Fitness of a population by Deb's rules, and the best allowed prices of all runs.

    fitness = profit where every station is within its capacity. Other prices come just below the least profit
    of these; in a population without any they have (least allowed profit so far, at most 0) - excess, kWh.
    """

    def __init__(self, instance: Instance, answers: Answers) -> None:
        self.answers, self.instance = answers, instance
        self.low, self.high, self.cap = price_limits(instance)
        # Only these are searched: rivals post theirs, nobody sees those of closed stations.
        self.free = np.flatnonzero(searched(instance))
        self.levels = PriceLevels(self.low[self.free], self.high[self.free], self.cap[self.free])
        least = min(station.capacity_kw for station in instance.stations)
        self.negligible = AIM * max(least, 1.0) * instance.period_h
        self.prices: Array | None = None
        self.profit = -math.inf
        self.floor = 0.0
        self.least_overload = math.inf
        self.evaluations = 0
        self.begin_run(0, 0)

    def begin_run(self, seed: int, number: int) -> None:
        """Forget what the runs before have learnt, but not their best prices."""
        self.rng = np.random.default_rng([seed, number, 2**30])
        periods = len(self.instance.periods)
        self.run_profit = -math.inf
        self.known = np.zeros(periods, bool)
        self.allowed_distances = np.zeros((len(self.free), periods))
        self.overloaded = np.zeros((0, periods), bool)
        self.least_excess = np.full(periods, math.inf)

    def to_prices(self, position: Array) -> Array:
        """Prices (n, M, T) of positions, within the mean caps."""
        prices = np.repeat(self.low[None], len(position), axis=0)
        prices[:, self.free] = self.levels.prices(position)
        return on_grid(self.instance, project_mean_caps(prices, self.low, self.high, self.cap))

    def fitness(self, position: Array) -> Array:
        prices = self.to_prices(position)
        profit, excess = self.answers.evaluate_hours(prices)
        self.evaluations += len(position)
        self._learn(position, excess)
        overload = excess.sum(axis=1)
        allowed = overload <= self.negligible
        for i in np.flatnonzero(allowed):
            self.run_profit = max(self.run_profit, float(profit[i]))
            if profit[i] > self.profit:
                self.profit, self.prices = float(profit[i]), prices[i].copy()
        if not allowed.any():
            self.least_overload = min(self.least_overload, float(overload.min()))
            return np.asarray(self.floor - overload)
        worst = float(profit[allowed].min())
        self.floor = min(self.floor, worst)
        return np.asarray(np.where(allowed, profit, worst - _JUST * max(1.0, abs(worst))))

    def _learn(self, position: Array, excess: Array) -> None:
        """Which hours overload a station, and the first distances known to keep an hour's capacities; until there are
        any, those that overload it least."""
        self.overloaded = excess > self.negligible / excess.shape[1]
        distances = self.levels.split(position)[1]
        for t in np.flatnonzero(~self.known & (excess.min(axis=0) < self.least_excess)):
            least = int(np.argmin(excess[:, t]))
            if not self.overloaded[:, t].all():
                self.known[t], least = True, int(np.argmin(self.overloaded[:, t]))
            self.least_excess[t] = excess[least, t]
            self.allowed_distances[:, t] = distances[least, :, t]

    def _steps(self, hours: Array) -> Array:
        """Random steps of the hours' distances (n, M): some of the stations by the same amount of money, since load is
        often split by a tie between them that other steps would break."""
        width = (self.levels.high - self.levels.low).T[hours]
        reach = 10.0 ** self.rng.uniform(NEAR, FAR, (len(hours), 1)) * width.max(axis=1, keepdims=True)
        sign = self.rng.choice([-1.0, 1.0], (len(hours), 1))
        step = np.where(self.rng.random(width.shape) < 0.5, sign * reach, 0.0)
        return np.asarray(np.divide(step, width, out=np.zeros_like(width), where=width > 0.0))

    def mend(self, position: Array) -> Array:
        """Overloaded hours with allowed distances, where such are known."""
        position = position.copy()
        distances = self.levels.split(position)[1]
        wrong = (self.overloaded & self.known)[:, None, :]
        distances[:] = np.where(wrong, self.allowed_distances, distances)
        return position

    def explore(self, position: Array) -> Array:
        """Overloaded hours without known allowed distances: with some near those that overload them least."""
        if len(self.overloaded) != len(position):
            return position
        agents, hours = np.nonzero(self.overloaded & ~self.known)
        if not len(hours):
            return position
        position = position.copy()
        moved = self.allowed_distances.T[hours] + self._steps(hours)
        self.levels.split(position)[1][agents, :, hours] = np.clip(moved, 0.0, 1.0)
        return position
