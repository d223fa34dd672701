"""Polish: the best point of the true game with given used routes, by successive linear programs.

With the used routes fixed, what is left of the day is smooth: prices, route flows and cheapest costs with
the exact road times (29), used routes exactly as dear as the cheapest, the residual flow (24) handed from
hour to hour, caps and capacities. Each step linearises at the current point inside a trust region; the
electricity bill enters with the operator's current prices, valid while its marginal units stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from formulations.congestion import RoadCost
from formulations.routes import RouteSet
from mpec.coupling import mean_caps
from mpec.expression import Expression, add_row
from mpec.linear_model import LinearModel
from mpec.solvers import open_session

Array = np.ndarray


@dataclass
class Guess:
    """prices (M, T), flows (R, T), cheapest (N, T); used (R, T) says which routes may carry vehicles.

    electricity (M, T): the price that the leader pays at the current loads. pieces[t]: rows
    (normal (M,), limit), normal . P <= limit, inside which that price stays the operator's.
    """

    prices: Array
    flows: Array
    cheapest: Array
    used: Array
    electricity: Array
    pieces: dict[int, list[tuple[Array, float]]] = field(default_factory=dict)


@dataclass
class _Hour:
    """Columns of one hour: price (M,), flow (R,) or -1, cheapest (N,), and the slack of each equation."""

    price: Array
    flow: Array
    cheapest: Array
    elastic: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Polished:
    """The final guess, the largest violation of its equations (money, veh/h) and its smooth profit."""

    guess: Guess
    violation: float
    profit: float
    steps: int


class DayProgram:
    """The linearised day around a guess. ``periods`` are the indices of the hours it contains."""

    def __init__(self, routes: RouteSet, hours: range, incoming: Array) -> None:
        self.routes, self.instance, self.hours = routes, routes.instance, hours
        self.roads = RoadCost.of(self.instance)
        self.incoming = incoming
        self.demand = np.array(
            [[self.instance.demand(p, t) for t in self.instance.periods] for p in self.instance.pairs]
        )
        self.kappa = self.instance.users.kappa_per_h
        self.rate = self.instance.users.xi * self.instance.residual_rate
        self.member = np.zeros((len(self.instance.pairs), len(routes.routes)))
        self.member[routes.pair, np.arange(len(routes.routes))] = 1.0
        self.inside = (~routes.outside).astype(float)

    def times(self, flows: Array) -> Array:
        """Route times, h, (R, T), exact."""
        road = self.roads.time(self.routes.on_road.T @ flows)
        return (self.routes.on_road @ road + self.routes.charging_h[:, None]) * self.inside[:, None]

    def costs(self, guess: Guess) -> Array:
        """Route costs (15), (R, T)."""
        charging = self.routes.plan_kwh @ guess.prices
        return self.kappa * self.times(guess.flows) + charging + self.routes.outside_cost[:, None]

    def residuals(self, flows: Array) -> Array:
        """(24), (N, T)."""
        return np.asarray(self.instance.residual_rate * (self.member @ (flows * self.times(flows))))

    def violation(self, guess: Guess) -> float:
        """The largest relative violation of equal costs, cheapest costs, and demand served."""
        costs, worst = self.costs(guess), 0.0
        served = self.member @ (guess.flows * (1 + self.rate * self.times(guess.flows)))
        arriving = self._arriving(guess.flows)
        scale = np.maximum(np.abs(arriving), 1.0)
        worst = float(np.max(np.abs(served - arriving)[:, self.hours] / scale[:, self.hours]))
        cheapest = guess.cheapest[self.routes.pair]
        excess = (costs - cheapest)[:, self.hours] / np.maximum(np.abs(cheapest[:, self.hours]), 1.0)
        on = (guess.flows > 0)[:, self.hours]
        has = (arriving > 0)[self.routes.pair][:, self.hours]
        worst = max(worst, float(np.max(np.abs(excess[on]), initial=0.0)))
        return max(worst, float(np.max(-excess[has], initial=0.0)))

    def _arriving(self, flows: Array) -> Array:
        """W + xi r[t-1], (N, T)."""
        residual = self.residuals(flows)
        before = np.column_stack([self.incoming, residual[:, :-1]])
        if self.hours.start:
            before[:, self.hours.start] = self.incoming
        return np.asarray(self.demand + self.instance.users.xi * before)

    def profit(self, guess: Guess) -> float:
        """dt sum (rho - c) P over the program's hours."""
        load = self.routes.plan_kwh.T @ guess.flows
        margin = (guess.prices - guess.electricity) * load
        return float(self.instance.period_h * margin[:, self.hours].sum())

    def step(self, guess: Guess, reach: float, penalty: float) -> Guess | None:
        """One linear program around ``guess``; None if the solver found no point."""
        model = LinearModel(name="polish", maximise=True)
        objective = Expression()
        blocks: dict[int, _Hour] = {}
        self._derivatives(guess)
        for t in self.hours:
            blocks[t] = self._hour(model, objective, guess, t, reach, penalty)
        self._serve(model, objective, guess, blocks, penalty)
        for m, cap in enumerate(mean_caps(self.instance)):
            if np.isfinite(cap):
                row = Expression().add_all([b.price[m] for b in blocks.values()], np.ones(len(blocks)))
                others = np.delete(guess.prices[m], list(self.hours)).sum()
                total = len(self.instance.periods) * cap - others
                add_row(model, f"cap[{m}]", row, upper=max(total, 0.0))
        model.cost = objective.vector(model.columns).tolist()
        solved = open_session(model).solve(time_limit=120.0)
        if solved.x is None:
            return None
        return self._read(guess, blocks, solved.x)

    def _derivatives(self, guess: Guess) -> None:
        flow = self.routes.on_road.T @ guess.flows
        self._slope = self.roads.derivative(flow)
        self._times = self.times(guess.flows)
        self._costs = self.costs(guess)

    def _time_change(self, t: int, k: int, columns: Array, live: Array, base: Array) -> Expression:
        """d T_k = sum_a on_k slope_a d x_a over the live routes' flow columns."""
        weights = (self.routes.on_road[live] * (self.routes.on_road[k] * self._slope[:, t])).sum(axis=1)
        change = Expression().add_all(columns[live], weights)
        return change.shift(-float(weights @ base[live]))

    def _hour(
        self, model: LinearModel, objective: Expression, guess: Guess, t: int, reach: float, penalty: float
    ) -> _Hour:
        instance, routes, dt = self.instance, self.routes, self.instance.period_h
        live = np.flatnonzero(guess.used[:, t])
        price = np.empty(len(instance.stations), dtype=int)
        for m, station in enumerate(instance.stations):
            half = reach * max(station.price_max - station.price_min, 0.0)
            low = max(station.price_min, guess.prices[m, t] - half)
            high = min(station.price_max, guess.prices[m, t] + half)
            price[m] = model.add_variable(f"price[{m},{t}]", min(low, high), high)
        flow = np.full(len(routes.routes), -1)
        top = self.member @ guess.flows[:, t]
        for k in live:
            room = reach * max(top[routes.pair[k]], 1e-6)
            at = guess.flows[k, t]
            flow[k] = model.add_variable(f"flow[{k},{t}]", max(0.0, at - room), at + room)
        cheapest = model.add_variables((f"cheapest[{n},{t}]" for n in range(len(instance.pairs))), -np.inf, np.inf)
        hour = _Hour(price, flow, cheapest)
        base = guess.flows[:, t]
        active = set(routes.pair[live].tolist())
        for k in range(len(routes.routes)):
            if int(routes.pair[k]) not in active:
                continue
            n = int(routes.pair[k])
            row = Expression(constant=float(self.kappa * self._times[k, t] + routes.outside_cost[k]))
            row.add_all(price, routes.plan_kwh[k]).add(cheapest[n], -1.0)
            if self.inside[k]:
                row.plus(self._time_change(t, k, flow, live, base), self.kappa)
            slow = self._costs[k, t] - guess.cheapest[n, t]
            if not guess.used[k, t] and slow > 0.6 * abs(guess.cheapest[n, t]) and reach < 0.2:
                continue
            up = model.add_variable(f"short[{k},{t}]")
            objective.add(up, -penalty)
            row.add(up)
            if guess.used[k, t]:
                down = model.add_variable(f"over[{k},{t}]")
                objective.add(down, -penalty)
                row.add(down, -1.0)
            add_row(model, f"cost[{k},{t}]", row, 0.0, 0.0 if guess.used[k, t] else np.inf)
        # Profit around the guess: rho P - c P with P = sum w h, products linearised.
        load = Expression()
        for m in range(len(instance.stations)):
            kwh = routes.plan_kwh[live, m]
            p0 = float(kwh @ base[live])
            load = Expression().add_all(flow[live], kwh)
            objective.add(price[m], dt * p0)
            objective.plus(load, dt * float(guess.prices[m, t] - guess.electricity[m, t]))
            over = model.add_variable(f"overload[{m},{t}]")
            objective.add(over, -penalty)
            limit = instance.stations[m].capacity_kw
            add_row(model, f"capacity[{m},{t}]", load.copy().add(over, -1.0), upper=limit)
        for i, (normal, limit) in enumerate(guess.pieces.get(t, [])):
            over = model.add_variable(f"beyond[{i},{t}]")
            objective.add(over, -penalty)
            row = Expression().add_all(flow[live], routes.plan_kwh[live] @ normal).add(over, -1.0)
            add_row(model, f"piece[{i},{t}]", row, upper=limit)
        return hour

    def _serve(
        self, model: LinearModel, objective: Expression, guess: Guess, blocks: dict[int, _Hour], penalty: float
    ) -> None:
        """(23)-(26) linearised: sum_k w_k (1 + xi eta T_k) = W + xi r[t-1]."""
        for t in self.hours:
            for n in range(len(self.instance.pairs)):
                row = self._weighted(guess, blocks[t], t, n, 1.0, self.rate)
                right = self.demand[n, t]
                if t == self.hours.start:
                    right += self.instance.users.xi * self.incoming[n]
                elif self.instance.users.xi:
                    row.plus(self._weighted(guess, blocks[t - 1], t - 1, n, 0.0, self.rate), -1.0)
                if not row.terms:
                    continue
                up, down = model.add_variable(f"lack[{n},{t}]"), model.add_variable(f"excess[{n},{t}]")
                objective.add(up, -penalty).add(down, -penalty)
                add_row(model, f"serve[{n},{t}]", row.add(up).add(down, -1.0), right, right)

    def _weighted(self, guess: Guess, hour: _Hour, t: int, n: int, one: float, rate: float) -> Expression:
        """Linearisation of sum_k w_k (one + rate T_k) over the pair's live routes."""
        live = np.flatnonzero(guess.used[:, t])
        mine = live[self.routes.pair[live] == n]
        base = guess.flows[:, t]
        row = Expression().add_all(hour.flow[mine], one + rate * self._times[mine, t])
        if rate:
            through = (self.routes.on_road[mine] * (base[mine] * self.inside[mine])[:, None]).sum(axis=0)
            weights = rate * (self.routes.on_road[live] @ (through * self._slope[:, t]))
            row.add_all(hour.flow[live], weights).shift(-float(weights @ base[live]))
        return row

    def _read(self, guess: Guess, blocks: dict[int, _Hour], x: Array) -> Guess:
        prices, flows, cheapest = guess.prices.copy(), guess.flows.copy(), guess.cheapest.copy()
        for t, block in blocks.items():
            prices[:, t] = x[block.price]
            flows[:, t] = np.where(block.flow >= 0, x[block.flow], 0.0)
            cheapest[:, t] = x[block.cheapest]
        flows[flows < 1e-11] = 0.0
        return Guess(prices, flows, cheapest, guess.used, guess.electricity, guess.pieces)


def polish(program: DayProgram, guess: Guess, *, steps: int = 25, reach: float = 0.3, aim: float = 1e-9) -> Polished:
    """Successive linear programs with a trust region on an exact penalty; keeps the best point."""
    load = program.routes.plan_kwh.T @ guess.flows
    penalty = 10.0 * max(float(load.max(initial=1.0)), 1.0) + 100.0
    current, count = guess, 0
    merit = _merit(program, current, penalty)
    for count in range(1, steps + 1):
        trial = program.step(current, reach, penalty)
        if trial is None:
            reach *= 0.3
        else:
            value = _merit(program, trial, penalty)
            if value > merit + 1e-12 * abs(merit):
                small = value - merit <= 1e-9 * max(abs(merit), 1.0)
                current, merit = trial, value
                reach = min(1.0, 1.5 * reach)
                if small and program.violation(current) <= aim:
                    break
            else:
                if program.violation(trial) < 0.5 * program.violation(current) and program.violation(current) < 1e-5:
                    current, merit = trial, value
                reach *= 0.4
        if reach < 1e-9:
            break
    return Polished(current, program.violation(current), program.profit(current), count)


def _merit(program: DayProgram, guess: Guess, penalty: float) -> float:
    """Profit minus the penalty on the absolute violations: what a step has to improve."""
    costs = program.costs(guess)
    cheapest = guess.cheapest[program.routes.pair]
    hours = list(program.hours)
    gap = (costs - cheapest)[:, hours]
    used = guess.used[:, hours]
    arriving = program._arriving(guess.flows)
    live = np.zeros_like(arriving, dtype=bool)
    np.logical_or.at(live, program.routes.pair, guess.used)
    short = np.where(used, np.abs(gap), np.maximum(-gap, 0.0))[live[program.routes.pair][:, hours]].sum()
    served = program.member @ (guess.flows * (1 + program.rate * program.times(guess.flows)))
    lost = np.abs(served - arriving)[:, hours][live[:, hours]].sum()
    load = (program.routes.plan_kwh.T @ guess.flows)[:, hours]
    over = np.maximum(load - np.array([s.capacity_kw for s in program.instance.stations])[:, None], 0.0)
    beyond = over.sum()
    for i, t in enumerate(hours):
        for normal, limit in guess.pieces.get(t, []):
            beyond += max(float(normal @ load[:, i]) - limit, 0.0)
    return program.profit(guess) - penalty * float(short + lost + beyond)
