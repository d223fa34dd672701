"""Polish: the best point of the true game with given used routes, by successive linear programs.

With the used routes fixed, what is left of the day is smooth: prices, route flows and cheapest costs with
the exact road times (29), used routes exactly as dear as the cheapest, the residual flow (24) handed from
hour to hour, caps and capacities. Each step linearises at the current point inside a trust region; the
electricity bill enters with the operator's current prices, valid while its marginal units stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from formulations.congestion import RoadCost
from formulations.prices import owned, price_box
from formulations.routes import RouteSet
from formulations.tariff import regulated_tariff
from mpec.coupling import mean_caps, regulated_limits
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
    """Columns of one hour: price (M,), flow (R,) or -1, cheapest (N,)."""

    price: Array
    flow: Array
    cheapest: Array


@dataclass(frozen=True)
class Polished:
    """The final guess, the largest violation of its equations (money, veh/h) and its smooth profit."""

    guess: Guess
    violation: float
    profit: float
    steps: int


class DayProgram:
    """The linearised day around a guess. ``hours`` are the indices of the periods it contains.

    ``price_charge`` (M, T), money per unit of price, and ``residual_worth`` (N, T), money per residual, are a day's
    multipliers where single hours are polished; 0 for the day itself.
    """

    def __init__(self, routes: RouteSet, hours: range, incoming: Array) -> None:
        self.routes, self.instance, self.hours = routes, routes.instance, hours
        periods = len(self.instance.periods)
        self.price_charge = np.zeros((len(self.instance.stations), periods))
        self.residual_worth = np.zeros((len(self.instance.pairs), periods))
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
        self.price_low, self.price_high = price_box(self.instance)
        # The regulated tariff answers to the whole day's loads: its bill is convex in them and written out in full.
        self.regulated = self.instance.tariff_mode == "regulated"
        self.own = owned(self.instance)

    def times(self, flows: Array) -> Array:
        """Route times, h, (R, T), exact."""
        road = self.roads.time(self.routes.on_road.T @ flows)
        return np.asarray(
            (self.routes.on_road @ road + self.routes.charging_h[:, None]) * self.inside[:, None]
        )

    def costs(self, guess: Guess) -> Array:
        """Route costs (15), (R, T)."""
        charging = self.routes.plan_kwh @ guess.prices
        return np.asarray(self.kappa * self.times(guess.flows) + charging + self.routes.outside_cost[:, None])

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

    def unserved(self, guess: Guess) -> Array:
        """Vehicles that found no place, relative to the demand (at least 1), (N, T)."""
        served = self.member @ (guess.flows * (1 + self.rate * self.times(guess.flows)))
        arriving = self._arriving(guess.flows)
        return np.asarray(np.maximum(arriving - served, 0.0) / np.maximum(np.abs(arriving), 1.0))

    def _arriving(self, flows: Array) -> Array:
        """W + xi r[t-1], (N, T)."""
        residual = self.residuals(flows)
        before = np.column_stack([self.incoming, residual[:, :-1]])
        if self.hours.start:
            before[:, self.hours.start] = self.incoming
        return np.asarray(self.demand + self.instance.users.xi * before)

    def profit(self, guess: Guess) -> float:
        """dt sum (rho - c) P over the program's hours, and what the multipliers add."""
        load = self.routes.plan_kwh.T @ guess.flows
        paid = guess.electricity
        if self.regulated:
            paid = regulated_tariff(self.instance, load)
        margin = self.instance.period_h * (guess.prices - paid) * self.own[:, None] * load
        return float(margin[:, self.hours].sum()) + self.priced(guess.prices, guess.flows)

    def priced(self, prices: Array, flows: Array) -> float:
        """What the multipliers add to the profit over the program's hours, money."""
        value = -(self.price_charge * prices)[:, self.hours].sum()
        if self.residual_worth.any():
            value += (self.residual_worth * self.residuals(flows))[:, self.hours].sum()
        return float(value)

    def step(self, guess: Guess, reach: float, penalty: float) -> Guess | None:
        """One linear program around ``guess``; None if the solver found no point."""
        model = LinearModel(name="polish", maximise=True)
        self._derivatives(guess)
        blocks = {t: self._hour(model, guess, t, reach, penalty) for t in self.hours}
        self._serve(model, guess, blocks, penalty)
        if self.regulated:
            self._regulated_bill(model, blocks)
        for m, cap in enumerate(mean_caps(self.instance)):
            if np.isfinite(cap):
                others = np.delete(guess.prices[m], list(self.hours)).sum()
                total = len(self.instance.periods) * cap - others
                columns = [b.price[m] for b in blocks.values()]
                model.add_row(f"cap[{m}]", columns, np.ones(len(columns)), upper=max(total, 0.0))
        solved = open_session(model).solve(time_limit=120.0)
        if solved.x is None:
            return None
        return self._read(guess, blocks, solved.x)

    def _derivatives(self, guess: Guess) -> None:
        flow = self.routes.on_road.T @ guess.flows
        self._slope = self.roads.derivative(flow)
        self._times = self.times(guess.flows)
        self._costs = self.costs(guess)

    def _elastic(self, model: LinearModel, name: str, count: int, penalty: float) -> Array:
        """``count`` columns that pay ``penalty`` per unit for missing an equation."""
        columns = model.add_variables(f"{name}[{i}]" for i in range(count))
        for j in columns:
            model.cost[j] = -penalty
        return columns

    def _hour(self, model: LinearModel, guess: Guess, t: int, reach: float, penalty: float) -> _Hour:
        """One hour's columns; costs (15) and (31) linearised, capacities, and where the price holds."""
        instance, routes, dt = self.instance, self.routes, self.instance.period_h
        live = np.flatnonzero(guess.used[:, t])
        low, high = self.price_low[:, t], self.price_high[:, t]
        half, at = reach * (high - low), guess.prices[:, t]
        bottom = np.minimum(np.maximum(low, at - half), high)
        price = model.add_variables(
            (f"price[{m},{t}]" for m in range(len(low))),
            bottom,
            np.maximum(np.minimum(high, at + half), bottom),
        )
        base = guess.flows[live, t]
        room = reach * np.maximum((self.member @ guess.flows[:, t])[routes.pair[live]], 1e-6)
        columns = model.add_variables(
            (f"flow[{k},{t}]" for k in live), np.maximum(0.0, base - room), base + room
        )
        flow = np.full(len(routes.routes), -1)
        flow[live] = columns
        cheapest = model.add_variables(
            (f"cheapest[{n},{t}]" for n in range(len(instance.pairs))), -np.inf, np.inf
        )
        self._cost_rows(model, guess, t, reach, penalty, live, price, columns, cheapest)
        # Profit around the guess: rho P - c P with P = sum w h, products linearised.
        kwh = routes.plan_kwh[live]
        for j, value in zip(price, dt * self.own * (kwh.T @ base) - self.price_charge[:, t], strict=True):
            model.cost[j] += float(value)
        paid = 0.0 if self.regulated else guess.electricity[:, t]
        for j, value in zip(columns, dt * (kwh @ (self.own * (at - paid))), strict=True):
            model.cost[j] += float(value)
        if self.residual_worth[:, t].any():
            slopes, _ = self._through(guess, live, t)
            for j, value in zip(columns, self.residual_worth[:, t] @ slopes, strict=True):
                model.cost[j] += float(value) * self.instance.residual_rate
        over = self._elastic(model, f"overload{t}", len(low), penalty)
        limits = np.array([s.capacity_kw for s in instance.stations])
        rows = sp.csr_matrix(np.hstack([kwh.T, -np.eye(len(low))]))
        model.add_rows(
            (f"capacity[{m},{t}]" for m in range(len(low))),
            rows,
            np.concatenate([columns, over]),
            upper=limits,
        )
        pieces = guess.pieces.get(t, [])
        if pieces:
            normals = np.array([normal for normal, _ in pieces])
            over = self._elastic(model, f"beyond{t}", len(pieces), penalty)
            rows = sp.csr_matrix(np.hstack([normals @ kwh.T, -np.eye(len(pieces))]))
            right = np.array([limit for _, limit in pieces])
            model.add_rows(
                (f"piece[{i},{t}]" for i in range(len(pieces))),
                rows,
                np.concatenate([columns, over]),
                upper=right,
            )
        return _Hour(price, flow, cheapest)

    def _cost_rows(
        self,
        model: LinearModel,
        guess: Guess,
        t: int,
        reach: float,
        penalty: float,
        live: Array,
        price: Array,
        columns: Array,
        cheapest: Array,
    ) -> None:
        """kappa T + rho.h + outside - cmin = 0 for used routes, >= 0 for the others, linearised, elastic."""
        routes = self.routes
        active = np.isin(routes.pair, np.unique(routes.pair[live]))
        slow = self._costs[:, t] - guess.cheapest[routes.pair, t]
        far = (slow > 0.6 * np.abs(guess.cheapest[routes.pair, t])) & (reach < 0.2)
        rows = np.flatnonzero(active & (guess.used[:, t] | ~far))
        change = self.kappa * (routes.on_road[rows] * self._slope[:, t]) @ routes.on_road[live].T
        change *= self.inside[rows, None]
        used = guess.used[rows, t]
        up = self._elastic(model, f"short{t}", len(rows), penalty)
        down = self._elastic(model, f"over{t}", int(used.sum()), penalty)
        pick = np.zeros((len(rows), len(cheapest)))
        pick[np.arange(len(rows)), routes.pair[rows]] = -1.0
        minus = np.zeros((len(rows), len(down)))
        minus[np.flatnonzero(used), np.arange(len(down))] = -1.0
        matrix = sp.csr_matrix(np.hstack([routes.plan_kwh[rows], change, pick, np.eye(len(rows)), minus]))
        constant = (
            self.kappa * self._times[rows, t] + routes.outside_cost[rows] - change @ guess.flows[live, t]
        )
        model.add_rows(
            (f"cost[{k},{t}]" for k in rows),
            matrix,
            np.concatenate([price, columns, cheapest, up, down]),
            -constant,
            np.where(used, -constant, np.inf),
        )

    def _serve(self, model: LinearModel, guess: Guess, blocks: dict[int, _Hour], penalty: float) -> None:
        """(23)-(26) linearised: sum_k w_k (1 + xi eta T_k) = W + xi r[t-1]."""
        pairs = len(self.instance.pairs)
        for t in self.hours:
            matrix, columns, right = self._weighted(guess, blocks[t], t, 1.0)
            right = self.demand[:, t] - right
            parts, places = [matrix], [columns]
            if t == self.hours.start:
                right = right + self.instance.users.xi * self.incoming
            elif self.instance.users.xi:
                before, earlier, constant = self._weighted(guess, blocks[t - 1], t - 1, 0.0)
                parts.append(-before)
                places.append(earlier)
                right = right + constant
            rows = np.flatnonzero(np.abs(np.hstack(parts)).sum(axis=1) > 0)
            up = self._elastic(model, f"lack{t}", len(rows), penalty)
            down = self._elastic(model, f"excess{t}", len(rows), penalty)
            one = np.eye(len(rows))
            whole = sp.csr_matrix(np.hstack([np.hstack(parts)[rows], one, -one]))
            names = (f"serve[{n},{t}]" for n in range(pairs) if n in set(rows.tolist()))
            model.add_rows(names, whole, np.concatenate([*places, up, down]), right[rows], right[rows])

    def _regulated_bill(self, model: LinearModel, blocks: dict[int, _Hour]) -> None:
        """The largest bill of a regulated tariff, by the dual of its linear program (mpec.coupling)."""
        low, high, mean = regulated_limits(self.instance)
        dt, periods = self.instance.period_h, len(self.instance.periods)
        for m in np.flatnonzero(self.own > 0):
            level = -1
            if np.isfinite(mean[m]):
                level = model.add_variable(f"tariff_mean[{m}]", cost=-periods * float(mean[m]))
            for t, block in blocks.items():
                live = np.flatnonzero(block.flow >= 0)
                under = model.add_variable(f"tariff_low[{m},{t}]", cost=float(low[m, t]))
                columns, values = [under, *block.flow[live]], [-1.0, *(-dt * self.routes.plan_kwh[live, m])]
                if np.isfinite(high[m, t]):
                    columns.append(model.add_variable(f"tariff_high[{m},{t}]", cost=-float(high[m, t])))
                    values.append(1.0)
                if level >= 0:
                    columns.append(level)
                    values.append(1.0)
                model.add_row(f"tariff[{m},{t}]", columns, np.array(values), 0.0, 0.0)

    def _weighted(self, guess: Guess, hour: _Hour, t: int, one: float) -> tuple[Array, Array, Array]:
        """sum_k w_k (one + rate T_k) per pair, linearised: matrix (N, live), its columns, constant (N,)."""
        live = np.flatnonzero(guess.used[:, t])
        matrix, constant = one * self.member[:, live], np.zeros(len(self.member))
        if self.rate:
            slopes, at_zero = self._through(guess, live, t)
            matrix = matrix + self.rate * slopes
            constant = self.rate * at_zero
        return matrix, hour.flow[live], constant

    def _through(self, guess: Guess, live: Array, t: int) -> tuple[Array, Array]:
        """sum_k w_k T_k per pair, linearised around the guess: slopes (N, live) and the value at no flow, (N,)."""
        base, member = guess.flows[live, t], self.member[:, live]
        through = (member * (base * self.inside[live])) @ self.routes.on_road[live]
        extra = (through * self._slope[:, t]) @ self.routes.on_road[live].T
        return member * self._times[live, t] + extra, -extra @ base

    def _read(self, guess: Guess, blocks: dict[int, _Hour], x: Array) -> Guess:
        prices, flows, cheapest = guess.prices.copy(), guess.flows.copy(), guess.cheapest.copy()
        for t, block in blocks.items():
            prices[:, t] = x[block.price]
            flows[:, t] = np.where(block.flow >= 0, x[block.flow], 0.0)
            cheapest[:, t] = x[block.cheapest]
        flows[flows < 1e-11] = 0.0
        return Guess(prices, flows, cheapest, guess.used, guess.electricity, guess.pieces)


def polish(
    program: DayProgram, guess: Guess, *, steps: int = 25, reach: float = 0.3, aim: float = 1e-9
) -> Polished:
    """Successive linear programs with a trust region on an exact penalty; keeps the best point."""
    load = program.routes.plan_kwh.T @ guess.flows
    penalty = 10.0 * max(float(load.max(initial=1.0)), 1.0) + 100.0
    current, count = guess, 0
    merit = _merit(program, current, penalty)
    while count < steps:
        count += 1
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
                if (
                    program.violation(trial) < 0.5 * program.violation(current)
                    and program.violation(current) < 1e-5
                ):
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
