"""The search for good days: followers' answers, polish, prices sampled hour by hour; only judged points are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from formulations.prices import has_rivals, has_steps, price_box
from formulations.routes import RouteSet
from mpec.cost_pieces import CAREFUL_MARGIN
from mpec.coupling import Multipliers
from mpec.crowding import uncrowded
from mpec.executors import Tasks
from mpec.price_grid import grid_prices
from mpec.price_sampling import sample_hour
from mpec.primal import Candidate, Primal

Array = np.ndarray

Accept = Callable[[Primal, Candidate], bool]


@dataclass
class DaySearch:
    """``best`` is the best point so far that ``accept`` (the judge) let pass."""

    routes: RouteSet
    tasks: Tasks
    accept: Accept | None = None
    best: Candidate | None = None
    primal: Primal = field(init=False)

    def __post_init__(self) -> None:
        self.primal = Primal(self.routes)

    def first_points(self, starts: Sequence[Array]) -> None:
        """Equilibria near given prices (M, T) each, and near the middle of the price box."""
        low, high = price_box(self.routes.instance)
        for prices in [*starts, 0.5 * (low + high)]:
            self._polished(self.primal.answer(prices), rounds=2)

    def near(
        self, prices: Array, multipliers: Multipliers, *, sample: bool, used: Array | None = None
    ) -> None:
        """Equilibria near ``prices`` (M, T), polished; with ``sample`` better prices are looked for hour by hour
        first, and the best hours of all tries are joined. ``used`` (R, T): routes that the relaxation uses."""
        self.primal.price_hours(multipliers)
        if self.best is not None:
            self.primal.remember(self.best)
        answered = self.primal.answer(prices)
        self._polished(answered, rounds=2)
        if used is not None and has_rivals(self.routes.instance):
            # Against a rival the optimum is a tie: a hair off, and one of both serves everybody.
            self._polished(answered, rounds=4, used=used)
        if not sample:
            return
        found = self.primal.answer(self._sampled(prices, answered, multipliers))
        self._polished(found, rounds=4)
        self._polished(self.primal.combined(found.prices, found.flows), rounds=4)

    def _polished(self, start: Candidate, rounds: int, used: Array | None = None) -> None:
        live = start.flows > 0 if used is None else used | (start.flows > 0)
        polished = self.primal.improve(start, live, rounds=rounds, steps=10)
        if not has_steps(self.routes.instance):
            self._try(polished)
            self._uncrowded(start, rounds)
            return
        best = None if self.best is None else self.best.profit
        for prices in grid_prices(self.primal.follower, [polished.prices, start.prices], best):
            self._try(self.primal.at(prices))

    def _uncrowded(self, start: Candidate, rounds: int) -> None:
        """Where nothing allowed was found yet: again from prices that overload no station."""
        apart = uncrowded(self.primal, start) if self.best is None else None
        if apart is not None:
            self._try(apart)
            self._try(self.primal.improve(apart, apart.flows > 0, rounds=rounds, steps=10))

    def _try(self, candidate: Candidate) -> None:
        """Keep a candidate if it is better than the best and the judge's own checks let it pass."""
        capacity = max(s.capacity_kw for s in self.routes.instance.stations)
        sound = candidate.excess <= 1e-7 * capacity and candidate.violation <= 5e-7
        if not sound or (self.best is not None and candidate.profit <= self.best.profit):
            return
        if self.accept is not None and not self.accept(self.primal, candidate):
            self.primal.pieces.margin = CAREFUL_MARGIN
            return
        self.best = candidate

    def _sampled(self, prices: Array, answered: Candidate, multipliers: Multipliers) -> Array:
        """Prices (M, T) found hour by hour around ``prices`` and the best so far."""
        incoming = self.primal.incoming(answered)
        tariff = self.primal.tariff(multipliers)
        centers = [prices] if self.best is None else [prices, self.best.prices]
        found = self.tasks.map(
            sample_hour,
            [
                (
                    self.routes,
                    t,
                    incoming[:, t],
                    np.array([c[:, t] for c in centers]),
                    multipliers,
                    None if tariff is None else tariff[:, t],
                )
                for t in range(prices.shape[1])
            ],
        )
        return np.column_stack([best for best, _ in found])
