"""The search for good days: followers' answers, polish, prices sampled hour by hour; only judged points are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from formulations.prices import has_rivals, has_steps, price_box
from formulations.routes import RouteSet
from mpec.cost_pieces import CAREFUL_MARGINS
from mpec.coupling import Multipliers, reckoned_tariff
from mpec.crowding import uncrowded
from mpec.executors import Tasks
from mpec.hour_pool import PooledHour
from mpec.hour_search import search_hour
from mpec.price_grid import grid_prices
from mpec.primal import Candidate, Primal

Array = np.ndarray

Accept = Callable[[Primal, Candidate], bool]


@dataclass
class DaySearch:
    """``best`` is the best point so far that ``accept`` (the judge) let pass; ``refused`` counts what he did not."""

    routes: RouteSet
    tasks: Tasks
    accept: Accept | None = None
    best: Candidate | None = None
    refused: int = 0
    primal: Primal = field(init=False)

    def __post_init__(self) -> None:
        self.primal = Primal(self.routes)

    def first_points(self, starts: Sequence[Array]) -> None:
        """Equilibria near given prices (M, T) each, and near the middle of the price box."""
        low, high = price_box(self.routes.instance)
        for prices in [*starts, 0.5 * (low + high)]:
            self._polished(self.primal.answer(prices), rounds=2)

    def near(
        self,
        prices: Array,
        multipliers: Multipliers,
        *,
        sample: bool,
        used: Array | None = None,
        hours: Sequence[int] | None = None,
    ) -> None:
        """Equilibria near ``prices`` (M, T), polished; with ``sample`` better ones are looked for hour by hour
        first, and the best hours of all tries are joined. ``used`` (R, T): routes that the relaxation uses;
        ``hours``: those that are searched (None: all)."""
        primal = self.primal
        primal.price_hours(multipliers)
        if self.best is not None:
            primal.remember(self.best)
        answered = primal.answer(prices)
        if used is not None and has_rivals(self.routes.instance):
            # Against a rival the optimum is a tie: a hair off, and one of both serves everybody.
            self._polished(answered, rounds=4, used=used)
        if not sample:
            self._polished(answered, rounds=2)
            return
        self._search_hours(prices, answered, multipliers, range(prices.shape[1]) if hours is None else hours)
        self._polished(primal.combined(answered.prices, answered.flows), rounds=3)

    def known(self, t: int) -> float | None:
        """What the best equilibrium of hour t that was met earns at the multipliers in force."""
        pool = self.primal.pool
        return None if pool is None else pool.known(t)

    def best_hour(self, t: int) -> PooledHour | None:
        """The best equilibrium of hour t at the multipliers in force."""
        pool = self.primal.pool
        return None if pool is None else pool.best(t)

    def add_hours(self, hours: Sequence[PooledHour]) -> None:
        """Equilibria of single hours, found elsewhere."""
        for hour in hours:
            if self.primal.pool is not None:
                self.primal.pool.add(hour)

    def _polished(self, start: Candidate, rounds: int, used: Array | None = None) -> None:
        live = start.flows > 0 if used is None else used | (start.flows > 0)
        polished = self.primal.improve(start, live, rounds=rounds, steps=10)
        if has_steps(self.routes.instance):
            best = None if self.best is None else self.best.profit
            for prices in grid_prices(self.primal.follower, [polished.prices, start.prices], best):
                self._try(self.primal.at(prices))
            return
        if not self._try(polished):
            self._further_off(polished)
        self._uncrowded(start, rounds)

    def _further_off(self, refused: Candidate) -> None:
        """What the judge refused once more, further and further off the jumps of the electricity price."""
        pieces, again = self.primal.pieces, replace(refused, profit=-np.inf, excess=np.inf)
        for margin in [m for m in CAREFUL_MARGINS if m > pieces.margin] or CAREFUL_MARGINS[-1:]:
            pieces.margin = margin
            if self._try(self.primal.improve(again, refused.flows > 0, steps=10)):
                return

    def _uncrowded(self, start: Candidate, rounds: int) -> None:
        """Where nothing allowed was found yet: again from prices that overload no station."""
        apart = uncrowded(self.primal, start) if self.best is None else None
        if apart is not None:
            self._try(apart)
            self._try(self.primal.improve(apart, apart.flows > 0, rounds=rounds, steps=10))

    def _try(self, candidate: Candidate) -> bool:
        """Keep a candidate if it is better than the best and the judge lets it pass; False only if he refused it."""
        capacity = max(s.capacity_kw for s in self.routes.instance.stations)
        sound = candidate.excess <= 1e-7 * capacity and candidate.violation <= 5e-7
        if not sound or (self.best is not None and candidate.profit <= self.best.profit):
            return True
        if not has_steps(self.routes.instance):
            candidate = self.primal.finished(candidate)
        if self.accept is not None and not self.accept(self.primal, candidate):
            self.refused += 1
            return False
        self.best = candidate
        return True

    def _search_hours(
        self, prices: Array, answered: Candidate, multipliers: Multipliers, hours: Sequence[int]
    ) -> None:
        """Fill the pool with equilibria near ``prices`` (M, T), each hour by itself at the multipliers."""
        pool, day = self.primal.pool, self.best or answered
        assert pool is not None
        incoming = self.primal.incoming(day)
        tariff = reckoned_tariff(self.routes.instance, multipliers)
        found = self.tasks.map(
            search_hour,
            [
                (
                    self.routes,
                    t,
                    incoming[:, t],
                    multipliers,
                    None if tariff is None else tariff[:, t],
                    prices[None, :, t],
                    tuple(pool.hours.get(t, [])[:2]),
                )
                for t in hours
            ],
        )
        for several in found:
            for hour in several:
                pool.add(hour)
