"""From a relaxation's prices to an equilibrium of the true game: answer, polish, answer again.

Whatever comes out is a point of the true game; only the judge decides whether it counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from formulations.prices import owned, price_box, searched
from formulations.routes import RouteSet
from formulations.tariff_data import fixed_prices
from mpec.cost_pieces import CostPieces
from mpec.coupling import Multipliers, mean_caps
from mpec.equilibrium import Point
from mpec.followers.answer import Follower
from mpec.followers.assemble import point as assemble_point
from mpec.followers.regulated import regulated_prices
from mpec.hour_pool import HourPool, PooledHour
from mpec.polish import DayProgram, Guess, polish
from mpec.tolerances import AIM

Array = np.ndarray

HAIR = 1e-6
"""How far finishing may move a point, as shares of the price box and of each pair's flow. On the bundled day 1e-4 led
across jumps of the electricity price (850 of 21,192 money), 1e-6 took the worst route from 1.9e-9 to 2e-12."""


@dataclass(frozen=True)
class Candidate:
    """prices (M, T), flows (R, T), the profit that assembling gives, and the largest capacity excess (kW)."""

    prices: Array
    flows: Array
    profit: float
    excess: float
    violation: float


def fit_prices(routes: RouteSet, prices: Array) -> Array:
    """Clip to the box and lower prices until the mean caps hold.

    First all stations alike, in the hours of least demand: what the users compare stays as it is. What is still
    above a cap after that is taken off the station's whole day (a common shift, clipped).
    """
    low, high = price_box(routes.instance)
    out = _lower_quiet_hours(routes, np.clip(prices, low, high), low)
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


def _lower_quiet_hours(routes: RouteSet, prices: Array, low: Array) -> Array:
    """Take the largest excess over a mean cap off all stations together, hour after hour from the quietest on."""
    instance = routes.instance
    caps = mean_caps(instance)
    known = np.isfinite(caps)
    if not known.any():
        return prices
    # Prices that can't move, a rival's say, hold nobody back.
    free = searched(instance)
    if not free.any():
        return prices
    need = float(np.max(prices[known].sum(axis=1) - prices.shape[1] * caps[known]))
    demand = [sum(instance.demand(pair, period) for pair in instance.pairs) for period in instance.periods]
    out = prices.copy()
    for share in (0.25, 0.5, 1.0):
        for t in np.argsort(demand, kind="stable")[: max(1, len(demand) // 2)]:
            if need <= 0.0:
                return out
            less = min(need, share * float((out[free, t] - low[free, t]).min()))
            out[free, t] -= less
            need -= less
    return out


@dataclass
class Primal:
    """Searches points of the true game near given prices and routes."""

    routes: RouteSet
    follower: Follower = field(init=False)
    program: DayProgram = field(init=False)
    pieces: CostPieces = field(init=False)
    pool: HourPool | None = None

    def __post_init__(self) -> None:
        instance = self.routes.instance
        self.follower = Follower(instance, self.routes)
        self.pieces = CostPieces(self.follower.dispatch)
        start = np.full(len(instance.pairs), instance.users.initial_residual)
        self.program = DayProgram(self.routes, range(len(instance.periods)), start)
        self.capacity = np.array([s.capacity_kw for s in instance.stations])[:, None]
        self.own = owned(instance)[:, None]

    def answer(self, prices: Array) -> Candidate:
        """The followers' greedy answer to prices that fit the box and the caps."""
        if self.pool is not None:
            # Before they are fitted to the caps: an hour by itself may use more than its share of them.
            flows, gaps, _ = self.follower.flows(prices)
            alone = self._candidate(prices, flows, float(gaps.max(initial=0.0)))
            self.remember(alone)
            if np.array_equal(fit_prices(self.routes, prices), prices):
                return alone
        prices = fit_prices(self.routes, prices)
        flows, gaps, _ = self.follower.flows(prices)
        return self._candidate(prices, flows, float(gaps.max(initial=0.0)))

    def at(self, prices: Array) -> Candidate:
        """The followers' greedy answer to exactly these prices (M, T)."""
        flows, gaps, _ = self.follower.flows(prices)
        return self._candidate(prices, flows, float(gaps.max(initial=0.0)))

    def _candidate(self, prices: Array, flows: Array, violation: float) -> Candidate:
        load = self.routes.plan_kwh.T @ flows
        price, _ = self.electricity(load)
        profit = float(self.routes.instance.period_h * ((prices - price) * self.own * load).sum())
        return Candidate(prices, flows, profit, float((load - self.capacity).max(initial=0.0)), violation)

    def route_costs(self, candidate: Candidate) -> Array:
        """Route costs (15) at a candidate, (R, T)."""
        none = np.zeros((len(self.routes.instance.pairs), candidate.flows.shape[1]))
        used = candidate.flows > 0
        return self.program.costs(
            Guess(candidate.prices, candidate.flows, none, used, np.zeros_like(candidate.prices))
        )

    def _cheapest(self, costs: Array) -> Array:
        """The least route cost of every pair and hour, (N, T); 0 for a pair without routes."""
        cheapest = np.full((len(self.routes.instance.pairs), costs.shape[1]), np.inf)
        np.minimum.at(cheapest, self.routes.pair, costs)
        return np.where(np.isfinite(cheapest), cheapest, 0.0)

    def incoming(self, candidate: Candidate) -> Array:
        """Residuals that arrive in every hour at a candidate, (N, T)."""
        residual = self.program.residuals(candidate.flows)
        return np.column_stack([self.program.incoming, residual[:, :-1]])

    def electricity(self, load: Array) -> tuple[Array, list[float]]:
        """(M, T) price that the leader pays at loads (M, T), and the operator's cost per hour."""
        instance = self.routes.instance
        if instance.tariff_mode == "fixed":
            return fixed_prices(instance), [0.0] * load.shape[1]
        if instance.tariff_mode == "regulated":
            return regulated_prices(instance, load).price, [0.0] * load.shape[1]
        prices, costs = np.zeros_like(load), []
        for t in range(load.shape[1]):
            price, cost = self.follower.dispatch.prices(t, load[None, :, t])
            prices[:, t] = price[0]
            costs.append(instance.period_h * float(cost[0]))
        return prices, costs

    def improve(
        self, start: Candidate, used: Array, *, rounds: int = 6, steps: int = 25, reach: float = 0.3
    ) -> Candidate:
        """Polish around a candidate; ``used`` (R, T) routes may carry vehicles besides its own.

        ``reach``: the first trust region, a share of the price box and of each pair's flow.
        """
        limit = 1e-7 * float(self.capacity.max())
        best = start if start.excess <= limit else replace(start, profit=-np.inf)
        flows, prices = start.flows, start.prices
        settled = False
        for number in range(rounds + 2):
            if number >= rounds and settled:
                break
            guess = self._guess(prices, flows, used | (flows > 0), number < rounds)
            done = polish(self.program, guess, steps=steps, reach=reach)
            candidate = self._settle(done.guess)
            self.remember(candidate)
            settled = candidate.excess <= limit and candidate.violation <= 1e-7
            if settled and (
                best.profit == -np.inf or candidate.profit > best.profit + 1e-7 * abs(best.profit)
            ):
                gain = candidate.profit - best.profit
                best = candidate
                if gain < 1e-5 * max(abs(best.profit), 1.0):
                    break
            elif candidate.violation > 1e-2 and number >= 2:
                break
            elif candidate.violation > 1e-5 and number < rounds:
                # These routes can't all be the cheapest: go on with those that can.
                flows, used = self._exchange(done.guess)
                prices = done.guess.prices
                reach = max(0.6 * reach, 0.05)
                continue
            elif candidate.violation > 1e-5:
                answered = self.answer(done.guess.prices)
                flows, prices, used = answered.flows, answered.prices, answered.flows > 0
                reach = max(0.4 * reach, 0.02)
                continue
            elif self.routes.instance.tariff_mode == "fixed" and candidate.violation <= 1e-7:
                break
            flows, prices = done.guess.flows, done.guess.prices
            reach = max(0.4 * reach, 0.02)
        return best

    def finished(self, candidate: Candidate) -> Candidate:
        """The candidate a hair away, where its used routes cost the same but for rounding: nothing of its profit shall
        rest on a tolerance. Itself where that loses money, as it does across a jump of the electricity price."""
        if candidate.violation <= 0.1 * AIM:
            return candidate
        guess = self._guess(candidate.prices, candidate.flows, candidate.flows > 0, False)
        settled = self._settle(polish(self.program, guess, steps=2, reach=HAIR).guess)
        better = settled.violation < candidate.violation and settled.excess <= candidate.excess
        worth = settled.profit >= candidate.profit - 1e-9 * abs(candidate.profit)
        return settled if better and worth else candidate

    def _guess(self, prices: Array, flows: Array, used: Array, explore: bool) -> Guess:
        """The guess at a candidate, with the operator's current price and the rows where it holds."""
        load = self.routes.plan_kwh.T @ flows
        rows: dict[int, list[tuple[Array, float]]] = {}
        if self.routes.instance.tariff_mode != "dlmp":
            price, _ = self.electricity(load)
        else:
            price = np.zeros_like(load)
            for t in range(load.shape[1]):
                price[:, t], rows[t] = self.pieces.at(t, load[:, t], explore=explore)
        costs_now = self.program.costs(
            Guess(prices, flows, np.zeros((len(self.routes.instance.pairs), load.shape[1])), used, price)
        )
        return Guess(prices, flows, self._cheapest(costs_now), used, price, rows)

    def price_hours(self, multipliers: Multipliers) -> None:
        """From here on hours are compared by their profit at these multipliers."""
        if self.pool is None:
            self.pool = HourPool(self.routes.instance.period_h, multipliers)
        self.pool.price(multipliers)

    def combined(self, prices: Array, flows: Array) -> Candidate:
        """The best hours met so far, side by side, as a start for polish; its profit counts for nothing."""
        if self.pool is not None:
            prices, flows = self.pool.best_day(prices, flows)
        return Candidate(fit_prices(self.routes, prices), flows, -np.inf, np.inf, np.inf)

    def remember(self, candidate: Candidate) -> None:
        """Keep every hour of a try that is an equilibrium by itself."""
        if self.pool is None:
            return
        prices, flows = candidate.prices, candidate.flows
        load, residual = self.routes.plan_kwh.T @ flows, self.program.residuals(flows)
        arriving = np.column_stack([self.program.incoming, residual[:, :-1]])
        costs = self.route_costs(candidate)
        cheapest = self._cheapest(costs)
        excess = (costs - cheapest[self.routes.pair]) / np.maximum(np.abs(cheapest[self.routes.pair]), 1.0)
        worst = np.where(flows > 0, excess, 0.0).max(axis=0, initial=0.0)
        over = (load - self.capacity).max(axis=0)
        profit, own_load = self.hourly(prices, load), self.own * load
        for t in np.flatnonzero((worst <= 1e-6) & (over <= 1e-7 * self.capacity.max())):
            self.pool.add(
                PooledHour(
                    int(t),
                    prices[:, t],
                    flows[:, t],
                    own_load[:, t],
                    arriving[:, t],
                    residual[:, t],
                    profit[t],
                )
            )

    def hourly(self, prices: Array, load: Array) -> Array:
        """(T,) dt sum_m (rho - c) P; under tariff `regulated` without the bill, which couples the hours."""
        regulated = self.routes.instance.tariff_mode == "regulated"
        paid = np.zeros_like(load) if regulated else self.electricity(load)[0]
        return np.asarray(self.routes.instance.period_h * ((prices - paid) * self.own * load).sum(axis=0))

    def _exchange(self, guess: Guess) -> tuple[Array, Array]:
        """Flows and used routes after dropping the routes that stayed too dear and admitting those too cheap, and
        for vehicles that found no place the least dear route past full stations."""
        costs, pair = self.program.costs(guess), self.routes.pair
        excess = (costs - guess.cheapest[pair]) / np.maximum(np.abs(guess.cheapest[pair]), 1.0)
        used = np.where(guess.used, excess <= 1e-6, excess < -1e-6)
        self._admit(guess, excess, used)
        flows = np.where(used, guess.flows, 0.0)
        for n in range(len(self.routes.instance.pairs)):
            mine = np.flatnonzero(pair == n)
            for t in range(flows.shape[1]):
                before, kept = guess.flows[mine, t].sum(), flows[mine, t].sum()
                if before <= 0.0 or kept == before:
                    continue
                if kept > 0.0:
                    flows[mine, t] *= before / kept
                    continue
                best = mine[int(np.argmin(np.where(used[mine, t], costs[mine, t], np.inf)))]
                if not used[best, t]:
                    best = mine[int(np.argmin(costs[mine, t]))]
                used[best, t] = True
                flows[best, t] = before
        return flows, used

    def _admit(self, guess: Guess, excess: Array, used: Array) -> None:
        """Mark one more route as used for each pair and hour whose demand isn't served; its stations have room."""
        missing = self.program.unserved(guess)
        full = self.routes.plan_kwh.T @ guess.flows >= self.capacity * (1 - 1e-3)
        for n, t in zip(*np.nonzero(missing > 1e-6), strict=True):
            mine = np.flatnonzero((self.routes.pair == n) & ~used[:, t])
            past = (self.routes.plan_kwh[mine][:, full[:, t]] > 0).any(axis=1)
            if len(mine) and not past.all():
                used[mine[int(np.argmin(np.where(past, np.inf, excess[mine, t])))], t] = True

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
        violation = program.violation(replace(settled, cheapest=self._cheapest(program.costs(settled))))
        return self._candidate(prices, flows, violation)

    def point(self, candidate: Candidate) -> Point:
        """The full point of a candidate, for the judge."""
        return assemble_point(
            self.routes.instance, candidate.prices, candidate.flows, self.routes,
            favour=1, solver=self.follower.dispatch, users=self.follower.users,
        )  # fmt: skip
