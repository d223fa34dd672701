"""From a relaxation's prices to an equilibrium of the true game: answer, polish, answer again.

Whatever comes out is a point of the true game; only the judge decides whether it counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from formulations.routes import RouteSet
from mpec.coupling import mean_caps
from mpec.equilibrium import Point
from mpec.followers.answer import Follower
from mpec.followers.assemble import point as assemble_point
from mpec.polish import DayProgram, Guess, polish

Array = np.ndarray

KINK_MARGIN = 4e-7
"""Relative distance kept from where the operator's price jumps: the judge takes loads within 2e-7 of a
kink for being on it, and then every price of the jump is the operator's."""


@dataclass(frozen=True)
class Candidate:
    """prices (M, T), flows (R, T), the profit that assembling gives, and the largest capacity excess (kW)."""

    prices: Array
    flows: Array
    profit: float
    excess: float
    violation: float


def fit_prices(routes: RouteSet, prices: Array) -> Array:
    """Clip to the box and lower each station's day until its mean cap holds (a common shift, clipped)."""
    stations = routes.instance.stations
    low = np.array([s.price_min for s in stations])[:, None]
    high = np.array([s.price_max for s in stations])[:, None]
    out = np.clip(prices, low, high)
    for m, cap in enumerate(mean_caps(routes.instance)):
        if not np.isfinite(cap) or out[m].mean() <= cap:
            continue
        down, up = 0.0, float(out[m].max() - low[m, 0])
        for _ in range(100):
            shift = 0.5 * (down + up)
            if np.maximum(out[m] - shift, low[m, 0]).mean() > cap:
                down = shift
            else:
                up = shift
        out[m] = np.maximum(out[m] - up, low[m, 0])
    return np.asarray(out)


@dataclass
class Primal:
    """Searches points of the true game near given prices and routes."""

    routes: RouteSet
    follower: Follower = field(init=False)
    program: DayProgram = field(init=False)
    pieces: dict[int, list[tuple[Array, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        instance = self.routes.instance
        self.follower = Follower(instance, self.routes)
        start = np.full(len(instance.pairs), instance.users.initial_residual)
        self.program = DayProgram(self.routes, range(len(instance.periods)), start)
        self.capacity = np.array([s.capacity_kw for s in instance.stations])[:, None]

    def answer(self, prices: Array) -> Candidate:
        """The followers' greedy answer to prices that fit the box and the caps."""
        prices = fit_prices(self.routes, prices)
        flows, gaps, _ = self.follower.flows(prices)
        return self._candidate(prices, flows, float(gaps.max(initial=0.0)))

    def relaxed(self, prices: Array, flows: Array) -> Candidate:
        """A relaxation's own prices and flows as a start for polish; its profit counts for nothing."""
        return Candidate(fit_prices(self.routes, prices), flows, -np.inf, np.inf, np.inf)

    def _candidate(self, prices: Array, flows: Array, violation: float) -> Candidate:
        load = self.routes.plan_kwh.T @ flows
        price, _ = self.electricity(load)
        profit = float(self.routes.instance.period_h * ((prices - price) * load).sum())
        return Candidate(prices, flows, profit, float((load - self.capacity).max(initial=0.0)), violation)

    def electricity(self, load: Array) -> tuple[Array, list[float]]:
        """(M, T) price that the leader pays at loads (M, T), and the operator's cost per hour."""
        instance = self.routes.instance
        if instance.tariff_mode == "fixed":
            from formulations.tariff_data import fixed_prices

            return fixed_prices(instance), [0.0] * load.shape[1]
        if instance.tariff_mode == "regulated":
            from mpec.followers.regulated import regulated_prices

            return regulated_prices(instance, load).price, [0.0] * load.shape[1]
        prices, costs = np.zeros_like(load), []
        for t in range(load.shape[1]):
            price, cost = self.follower.dispatch.prices(t, load[None, :, t])
            prices[:, t] = price[0]
            costs.append(instance.period_h * float(cost[0]))
        return prices, costs

    def improve(self, start: Candidate, used: Array, *, rounds: int = 6, steps: int = 25) -> Candidate:
        """Polish around a candidate; ``used`` (R, T) routes may carry vehicles besides its own."""
        best = start
        flows, prices = start.flows, start.prices
        reach = 0.3
        for _ in range(rounds):
            guess = self._guess(prices, flows, used | (flows > 0))
            done = polish(self.program, guess, steps=steps, reach=reach)
            candidate = self._settle(done.guess)
            better = candidate.excess <= 1e-7 * float(self.capacity.max()) and candidate.violation <= 1e-7
            if better and (
                best.profit == -np.inf or candidate.profit > best.profit + 1e-7 * abs(best.profit)
            ):
                gain = candidate.profit - best.profit
                best = candidate
                if gain < 1e-5 * max(abs(best.profit), 1.0):
                    break
            elif self.routes.instance.tariff_mode == "fixed":
                break
            flows, prices = done.guess.flows, done.guess.prices
            reach = max(0.4 * reach, 0.02)
        return best

    def _guess(self, prices: Array, flows: Array, used: Array) -> Guess:
        """The guess at a candidate, with the operator's current price and the rows where it holds."""
        load = self.routes.plan_kwh.T @ flows
        price, costs = self.electricity(load)
        rows: dict[int, list[tuple[Array, float]]] = {}
        if self.routes.instance.tariff_mode == "dlmp":
            dt = self.routes.instance.period_h
            for t, cost in enumerate(costs):
                slope = dt * price[:, t]
                level = cost - float(slope @ load[:, t])
                known = self.pieces.setdefault(t, [])
                if not any(np.allclose(slope, s, rtol=1e-7, atol=1e-9) for s, _ in known):
                    known.append((slope, level))
                rows[t] = []
                for other, base in known:
                    if np.allclose(other, slope, rtol=1e-7, atol=1e-9):
                        continue
                    # other.P + base <= slope.P + level, a hair inside so that rounding can't cross the kink.
                    size = float(np.abs(other - slope).max())
                    limit = (level - base) / size - KINK_MARGIN * (1.0 + abs(level - base) / size)
                    rows[t].append(((other - slope) / size, limit))
        costs_now = self.program.costs(
            Guess(prices, flows, np.zeros((len(self.routes.instance.pairs), load.shape[1])), used, price)
        )
        cheapest = np.full((len(self.routes.instance.pairs), load.shape[1]), np.inf)
        np.minimum.at(cheapest, self.routes.pair, costs_now)
        cheapest = np.where(np.isfinite(cheapest), cheapest, 0.0)
        return Guess(prices, flows, cheapest, used, price, rows)

    def _settle(self, guess: Guess) -> Candidate:
        """Serve the demand exactly, hour after hour, with the guess's shares; the rest is the judge's."""
        routes, program = self.routes, self.program
        instance = routes.instance
        flows = np.where(guess.flows > 1e-9, guess.flows, 0.0)
        prices = fit_prices(routes, guess.prices)
        rate = program.rate
        incoming = program.incoming
        for t in range(flows.shape[1]):
            right = program.demand[:, t] + instance.users.xi * incoming
            for _ in range(60):
                times = program.times(flows[:, t : t + 1])[:, 0]
                served = program.member @ (flows[:, t] * (1 + rate * times))
                factor = np.where(served > 0, right / np.where(served > 0, served, 1.0), 1.0)
                flows[:, t] *= factor[routes.pair]
                if np.abs(factor - 1).max(initial=0.0) < 1e-14:
                    break
            times = program.times(flows[:, t : t + 1])[:, 0]
            incoming = instance.residual_rate * (program.member @ (flows[:, t] * times))
        price, _ = self.electricity(routes.plan_kwh.T @ flows)
        settled = Guess(prices, flows, guess.cheapest, guess.used, price)
        costs = program.costs(settled)
        cheapest = np.full(guess.cheapest.shape, np.inf)
        np.minimum.at(cheapest, routes.pair, costs)
        violation = program.violation(
            replace(settled, cheapest=np.where(np.isfinite(cheapest), cheapest, 0.0))
        )
        return self._candidate(prices, flows, violation)

    def point(self, candidate: Candidate) -> Point:
        """The full point of a candidate, for the judge."""
        return assemble_point(
            self.routes.instance, candidate.prices, candidate.flows, self.routes,
            favour=1, solver=self.follower.dispatch, users=self.follower.users,
        )  # fmt: skip
