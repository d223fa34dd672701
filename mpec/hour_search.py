"""Good prices for one hour of a day: tries answered by the followers, each polished with the hour's Lagrangian.

With the arriving residuals and the day's multipliers given, an hour is a game of one period: what arrives adds to the
demand, the caps and the residual that leaves are priced, a regulated tariff is a constant. Where a station is full
the users must be indifferent, which no sampling of prices ever hits: polish does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from formulations.prices import price_box
from formulations.routes import RouteSet
from instances.model import TariffRow
from mpec.coupling import Multipliers
from mpec.effort import START_SECONDS, Effort
from mpec.hour_pool import PooledHour
from mpec.price_sampling import sample_hour
from mpec.primal import Candidate, Primal

Array = np.ndarray


def hour_game(routes: RouteSet, t: int, incoming: Array, tariff: Array | None) -> RouteSet:
    """The routes of the game of period index ``t`` alone, ``incoming`` (N,) residuals arriving.

    ``tariff`` (M,) is the electricity price; None where the operator's program sets it.
    """
    day = routes.instance
    period = day.periods[t]
    trips = {
        (pair.origin, pair.destination, period.id): day.demand(pair, period)
        + day.users.xi * float(incoming[n])
        for n, pair in enumerate(day.pairs)
    }
    rows = dict(day.tariff)
    if tariff is not None:
        rows = {
            (m.id, period.id): TariffRow(price_per_kwh=float(c))
            for m, c in zip(day.stations, tariff, strict=True)
        }
    hour = replace(
        day,
        users=replace(day.users, initial_residual=0.0),
        tariff_mode="dlmp" if tariff is None else "fixed",
        stations=tuple(replace(m, price_mean_max=None) for m in day.stations),
        periods=(period,),
        trips=trips,
        wind={key: kw for key, kw in day.wind.items() if key[1] == period.id},
        tariff=rows,
    )
    return replace(routes, instance=hour)


@dataclass
class HourPrimal(Primal):
    """Searches points of one hour; profits are the hour's Lagrangian."""

    cap: Array = field(default_factory=lambda: np.zeros(0))
    link: Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.program.price_charge = self.cap[:, None]
        self.program.residual_worth = self.link[:, None]

    def _candidate(self, prices: Array, flows: Array, violation: float) -> Candidate:
        plain = super()._candidate(prices, flows, violation)
        return replace(plain, profit=plain.profit + self.program.priced(prices, flows))


def search_hour(
    routes: RouteSet,
    t: int,
    incoming: Array,
    multipliers: Multipliers,
    tariff: Array | None,
    centers: Array,
    known: Sequence[PooledHour] = (),
    *,
    seed: int = 0,
) -> list[PooledHour]:
    """Equilibria of hour ``t`` near prices ``centers`` (K, M) and near ``known`` ones, polished; the best first.

    ``incoming`` (N,) residuals arrive. Prices are sampled first (mpec.price_sampling); only allowed points are
    returned, so the list may be empty.
    """
    game = hour_game(routes, t, incoming, tariff)
    after = multipliers.link[:, t + 1] if t + 1 < multipliers.link.shape[1] else 0.0 * incoming
    primal = HourPrimal(game, cap=multipliers.cap, link=after)
    around = np.vstack([centers, *(hour.prices for hour in known)])
    sampled = sample_hour(routes, t, incoming, around, multipliers, tariff, seed=seed)
    starts = [primal.answer(prices[:, None]) for prices in (*centers, *sampled)]
    for hour in known:
        begin = primal.answer(hour.prices[:, None])
        starts.append(replace(begin, flows=hour.flows[:, None], profit=-np.inf, excess=np.inf))
    found: list[PooledHour] = []
    limit = 1e-7 * float(primal.capacity.max())
    for start in starts:
        done = primal.improve(start, start.flows > 0, rounds=3, steps=8)
        if done.profit == -np.inf or done.excess > limit or done.violation > 1e-7:
            continue
        load = primal.own * (routes.plan_kwh.T @ done.flows)
        priced = primal.program.priced(done.prices, done.flows)
        profit = done.profit - priced
        if routes.instance.tariff_mode == "regulated" and tariff is not None:
            profit += routes.instance.period_h * float(tariff @ load[:, 0])
        residual = primal.program.residuals(done.flows)[:, 0]
        found.append(
            PooledHour(t, done.prices[:, 0], done.flows[:, 0], load[:, 0], incoming, residual, profit)
        )
    period_h = routes.instance.period_h
    return sorted(found, key=lambda hour: -hour.value(multipliers, period_h))[:3]


def search_on(
    routes: RouteSet,
    t: int,
    multipliers: Multipliers,
    tariff: Array | None,
    best: PooledHour,
    worth: float,
    effort: Effort,
    seconds: float,
) -> list[PooledHour]:
    """Equilibria better than ``best`` from prices moved about it, again and again while ``worth`` money is gained.

    Polish ends where other routes would have to be used; starts a little away use others. Ends after MISSES starts
    without a gain, or when so many seconds of the effort are gone.
    """
    end, misses, found = effort.left() - seconds, 0, [best]
    low, high = (ends[:, t] for ends in price_box(routes.instance))
    period_h, number = routes.instance.period_h, 0
    while misses < MISSES and effort.left() > end:
        number += 1
        effort.spend(START_SECONDS)
        rng = np.random.default_rng([number, t])
        near, size = found[0], rng.choice([0.01, 0.03, 0.1, 0.3])
        moved = near.prices + size * rng.standard_normal(len(low))
        if number % 3 == 0:
            # In the dearest hours the limits themselves are good prices.
            moved = high - size * rng.random(len(low))
        center = np.clip(moved, low, high)[None]
        new = search_hour(
            routes, t, near.incoming, multipliers, tariff, center, (near,) if number % 2 else (), seed=number
        )
        better = [
            hour
            for hour in new
            if hour.value(multipliers, period_h) > near.value(multipliers, period_h) + worth
        ]
        misses = 0 if better else misses + 1
        found = better[:1] + found
    return found[:-1]


MISSES = 4
"""Starts without a gain after which a search ends."""
