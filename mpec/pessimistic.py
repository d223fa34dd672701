"""The least profit over all of the followers' answers to given prices: [relaxation bound, worst found].

The leader's optimum sits on ties, so the worst answer to the same prices is told beside it. Answers:
users' equilibria (of the eps-game: routes within eps of the cheapest count as tied), and under tariff
`dlmp` any c on the operator's optimal dual face, jointly. Answers that break a station's capacity are left
out and counted.

Without residual flow periods are independent (but for tariff `regulated`) and the users' answers are an
exact polytope, so branch and bound on the station loads closes the interval. With residual flow the users'
answers of an hour are enclosed (residual_relaxation), hour after hour with the residual's interval. The worst
answer found is greedy, or another split of the point's own vehicles that leaves the residuals as they are.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.prices import owned
from formulations.route_records import RouteSet
from formulations.routes import route_set
from formulations.tariff import fixed_prices, regulated_tariff
from instances.model import Instance
from mpec import tolerances, worst_bill
from mpec.checks.equations import Answer
from mpec.equilibrium import Point
from mpec.followers.answer import follow
from mpec.followers.users import Users
from mpec.linear_model import LinearModel
from mpec.residual_relaxation import ResidualRelaxation
from mpec.safe_minimum import Unsolved, append, load_range, minimise, set_box, total_range
from mpec.solvers.highs import work_done
from mpec.worst_users import UsersPolytope, keep_residuals, reference, tie_polytope

Array = np.ndarray

SECONDS = 120.0
"""Nominal seconds (mpec.solvers.highs.work_done) that the interval is worked on: a certificate says the same on every
machine. What is found until then is valid."""

CLOSED = 1e-7
"""Relative to the turnover: branch and bound stops at such a gap."""

NEAR = 1e-5
"""The same where the users' answers are only enclosed: closing the bill further would gain nothing."""

SHARES = 0.4, 0.6
"""With residual flow: when the intervals' share of the time ends, and that of the search for a bad answer."""

LEAST_REACH = 1e-3
"""How far beyond the loads the operator's cost is looked at, relative; less would amplify rounding."""

MOST_NODES = 300

_POINT = 2e-8
"""A load box narrower than this share of its station's load is a point (the judge's binding rows: 1e-7)."""


@dataclass(frozen=True)
class Pessimistic:
    """bound <= least profit <= found, money; None where not known. capacity_violated: station-periods whose
    limit some answer breaks (such answers are left out). how: which way the numbers were found."""

    bound: float | None
    found: float | None
    capacity_violated: int
    how: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """`pessimistic_profit` of certificate.json."""
        return {
            "bound": self.bound,
            "found": self.found,
            "capacity_violated": self.capacity_violated,
            "how": self.how,
        }


def least_profit(
    instance: Instance,
    point: Point,
    answer: Answer,
    *,
    routes: RouteSet | None = None,
    seconds: float = SECONDS,
) -> Pessimistic:
    """Bound the least profit over the followers' answers to the point's prices, and find a bad answer.

    ``answer`` is what the point's routes amount to; the point must have passed the judge. Never raises for
    solver trouble: then the part in question is None and a note says so.
    """
    routes = route_set(instance) if routes is None else routes
    search = _Search(instance, point, answer, routes, work_done() + seconds)
    try:
        return search.without_residual() if instance.users.xi == 0.0 else search.with_residual()
    except ArithmeticError as error:
        return Pessimistic(None, None, 0, "failed", (f"The pessimistic side is not known: {error}.",))


@dataclass
class _Search:
    instance: Instance
    point: Point
    answer: Answer
    routes: RouteSet
    deadline: float

    def __post_init__(self) -> None:
        self.prices = np.asarray(self.point.prices, float)
        self.own = owned(self.instance)
        self.flows = _flows(self.routes, self.answer, len(self.instance.periods))
        turnover = np.abs(self.prices) * self.answer.traffic.load_kw
        self.size = max(self.instance.period_h * float(turnover.sum()), 1e-9)
        self.hurried = False

    # ---- without residual flow -----------------------------------------------------------------
    def without_residual(self) -> Pessimistic:
        """Exact up to CLOSED unless time runs out."""
        hours, violated = [], 0
        for t in range(len(self.instance.periods)):
            at = reference(self.routes, self.prices[:, t], self._settled(t))
            demand = np.array([at.flows[rows].sum() for rows in self.routes.pair_rows])
            violated += self._violations(
                tie_polytope(self.routes, self.prices[:, t], at, demand, capped=False)
            )
            hours.append(tie_polytope(self.routes, self.prices[:, t], at, demand))
        bound, found = self._day(hours, self.deadline, exact=True)
        closed = found is not None and found - bound <= 10 * CLOSED * self.size
        return Pessimistic(bound, found, violated, "exact" if closed else "bounded")

    def _settled(self, t: int) -> Array:
        """The point's flows of a period (R,), brought from the judge's tolerance to an exact equilibrium."""
        none = np.zeros((1, len(self.instance.pairs)))
        flows, gap = Users(self.routes).solve(t, self.prices[None, :, t], none, self.flows[None, :, t])
        return np.asarray(flows[0]) if gap[0] <= tolerances.AIM else self.flows[:, t]

    def _violations(self, part: UsersPolytope) -> int:
        _, high = load_range(part)
        capacity = np.array([station.capacity_kw for station in self.instance.stations])
        return int(np.sum(high > capacity * (1.0 + 1e-6)))

    def _day(self, hours: list[UsersPolytope], until: float, *, exact: bool) -> tuple[float, float | None]:
        """Bound and (if the polytopes are exact) worst profit of the day, worked on until the clock shows that."""
        if self.instance.tariff_mode == "regulated":
            return self._regulated_day(hours, until, exact)
        bound, found = 0.0, 0.0 if exact else math.nan
        for t, part in enumerate(hours):
            # What the hours before have left over is for the ones after.
            share = max(until - work_done(), 0.0) / (len(hours) - t)
            low, value = self._hour(t, part, exact, work_done() + share)
            bound += low
            found += value
        return bound, None if math.isnan(found) else found

    def _hour(self, t: int, part: UsersPolytope, exact: bool, until: float) -> tuple[float, float]:
        """Least profit of one period over a polytope of users' answers: (bound, value or NaN)."""
        instance, dt = self.instance, self.instance.period_h
        rho = self.own * self.prices[:, t]
        low, high = load_range(part)
        if instance.tariff_mode == "fixed":
            margin = dt * (rho - self.own * fixed_prices(instance)[:, t])
            solved = minimise(part.model, part.load, margin)
            if solved is None:
                raise ArithmeticError("no answer of the users respects the stations' capacities")
            return solved.bound, float(
                margin @ solved.x[part.load]
            ) if exact and solved.x is not None else math.nan

        def evaluate(loads: Array) -> float:
            return dt * float(rho @ loads) - worst_bill.dearest_bill(instance, t, loads).found

        value_function, total = worst_bill.OperatorValue(instance, t, high), total_range(part)

        def node(least: Array, most: Array) -> _Node | None:
            middle, width = 0.5 * (least + most), most - least
            if np.all(width <= _POINT * np.maximum(most, 1e-9)):
                # All kinks inside so small a box count as binding in its middle.
                rest = dt * float((np.abs(rho) + instance.feeder.voll_per_kwh) @ width)
                dearest = worst_bill.dearest_bill(instance, t, middle).bound
                return _Node(dt * float(rho @ middle) - dearest - rest, middle, width, True)
            model = part.model.copy()
            set_box(model, part.load, least, most)
            reach = float(np.clip(width.sum() / max(float(middle.sum()), 1e-9), LEAST_REACH, 1.0))
            columns, weights, constant = worst_bill.add_nodal_bill(
                model, value_function, part.load, least, most, reach, total
            )
            revenue = np.zeros(len(columns))
            revenue[-len(rho) :] = dt * rho
            solved = minimise(model, columns, revenue - weights)
            if solved is None:
                return None
            loads = middle if solved.x is None else solved.x[part.load]
            return _Node(solved.bound - constant, loads, width, solved.x is not None)

        try:
            bound, found = self._branch(node, low, high, evaluate, CLOSED if exact else NEAR, until)
        finally:
            value_function.close()
        return bound, found if exact else math.nan

    def _regulated_day(
        self, hours: list[UsersPolytope], until: float, exact: bool
    ) -> tuple[float, float | None]:
        instance, dt = self.instance, self.instance.period_h
        shape = self.prices.shape
        whole, loads = LinearModel("day"), np.zeros(shape, dtype=int)
        ends = np.zeros((2, *shape))
        for t, part in enumerate(hours):
            loads[:, t] = append(whole, part.model, f"({t})")[part.load]
            ends[0, :, t], ends[1, :, t] = load_range(part)

        def evaluate(flat: Array) -> float:
            load = flat.reshape(shape)
            margin = (self.prices - regulated_tariff(instance, load)) * self.own[:, None]
            return dt * float((margin * load).sum())

        def node(least: Array, most: Array) -> _Node | None:
            model = whole.copy()
            set_box(model, loads.ravel(), least, most)
            products = worst_bill.add_regulated_bill(
                model, instance, loads, least.reshape(shape), most.reshape(shape)
            )
            columns = np.concatenate([loads.ravel(), products.bill])
            each = np.repeat(self.own, shape[1])
            cost = dt * np.concatenate([each * self.prices.ravel(), -each])
            solved = minimise(model, columns, cost)
            if solved is None:
                return None
            if solved.x is None:
                return _Node(solved.bound, 0.5 * (least + most), most - least, False)
            return _Node(solved.bound, solved.x[loads.ravel()], products.misfit(solved.x), True)

        bound, found = self._branch(
            node, ends[0].ravel(), ends[1].ravel(), evaluate, CLOSED if exact else NEAR, until
        )
        return bound, found if exact else None

    def _branch(
        self,
        node: Callable[[Array, Array], _Node | None],
        low: Array,
        high: Array,
        evaluate: Callable[[Array], float],
        close: float,
        until: float,
    ) -> tuple[float, float]:
        """Best-first branch and bound on the load box: (bound, least value at the loads met). ``until``: where the
        clock of this process ends it."""
        count, best = itertools.count(), math.inf
        first = node(low, high)
        if first is None:
            raise ArithmeticError("no answer of the users respects the stations' capacities")
        queue = [(first.bound, next(count), first, low, high)]
        for _ in range(MOST_NODES):
            bound, _, top, least, most = queue[0]
            if top.reached:
                best = min(best, evaluate(top.loads))
            width = most - least
            split = int(np.argmax(np.where(width > _POINT * np.maximum(most, 1e-9), top.misfit, -1.0)))
            narrow = width[split] <= _POINT * max(float(most[split]), 1e-9)
            if best - bound <= close * self.size or narrow:
                break
            if work_done() > until:
                self.hurried = True
                break
            heapq.heappop(queue)
            margin = 0.2 * width[split]
            middle = float(np.clip(top.loads[split], least[split] + margin, most[split] - margin))
            for upper in (False, True):
                a, b = least.copy(), most.copy()
                (a if upper else b)[split] = middle
                try:
                    child = node(a, b)
                except Unsolved:
                    # What holds for the box holds for its halves.
                    child = _Node(bound, np.clip(top.loads, a, b), b - a, False)
                if child is not None:
                    heapq.heappush(queue, (max(child.bound, bound), next(count), child, a, b))
            if not queue:
                break
        return min(queue[0][0] if queue else best, best), best

    # ---- with residual flow ---------------------------------------------------------------------
    def with_residual(self) -> Pessimistic:
        """Enclose every hour's answers, residual intervals carried forward; the worst answer is looked for among
        those that leave the residuals as they are, and by the greedy choice against the leader.

        However the first t hours are answered, what arrives in hour t + 1 lies in hour t's interval of residuals (by
        induction: the relaxation of an hour holds all answers to everything that may arrive). So the day's profit
        is at least the sum of the hours' least profits, each over its own relaxation.
        """
        instance, notes = self.instance, []
        first = np.full(len(instance.pairs), instance.users.initial_residual)
        arriving, hours, ties, violated = (first, first.copy()), [], [], 0
        now = work_done()
        tightened, searched = (now + share * (self.deadline - now) for share in SHARES)
        for t in range(len(instance.periods)):
            at = reference(self.routes, self.prices[:, t], self.flows[:, t])
            relaxation = ResidualRelaxation(self.routes, t, self.prices[:, t], arriving, at)
            relaxation.tighten(deadline=tightened)
            hours.append(relaxation.polytope())
            arriving = relaxation.box.residual_low, relaxation.box.residual_high
            demand = np.array([self.flows[rows, t].sum() for rows in self.routes.pair_rows])
            loose = tie_polytope(self.routes, self.prices[:, t], at, demand, capped=False)
            violated += self._violations(loose)
            ties.append(tie_polytope(self.routes, self.prices[:, t], at, demand))
            keep_residuals(ties[-1], self.routes, at)
        hurried = work_done() > tightened
        found, label = self._greedy()
        try:
            _, split = self._day(ties, searched, exact=True)
        except ArithmeticError as error:
            split = None
            notes.append(f"No other split of tied vehicles was looked at: {error}.")
        if split is not None and split < found:
            found, label = split, "split of ties"
        self.hurried = hurried
        bound, _ = self._day(hours, self.deadline, exact=False)
        if self.hurried:
            notes.append("The pessimistic bound is loose: its time ran out.")
        # The point itself with its worst electricity bill is an answer too.
        return Pessimistic(min(bound, found), found, violated, label, tuple(notes))

    def _greedy(self) -> tuple[float, str]:
        """The worse of the point's own users and of the answer found hour by hour against the leader."""
        candidates = [self._value(self.answer.traffic.load_kw)]
        other = follow(self.instance, self.prices, pessimistic=True, routes=self.routes)
        if other.point is not None:
            capacity = np.array([station.capacity_kw for station in self.instance.stations])[:, None]
            if np.all(other.point.load_kw <= capacity * (1.0 + tolerances.EPSILON)):
                candidates.append(self._value(other.point.load_kw))
        return min(candidates), "greedy"

    def _value(self, load: Array) -> float:
        """Profit at loads (M, T) with the dearest bill, money."""
        instance, dt = self.instance, self.instance.period_h
        sold = self.own[:, None] * load
        revenue = dt * float((self.prices * sold).sum())
        if instance.tariff_mode == "dlmp":
            return revenue - sum(
                worst_bill.dearest_bill(instance, t, load[:, t]).found for t in range(load.shape[1])
            )
        if instance.tariff_mode == "fixed":
            return revenue - dt * float((fixed_prices(instance) * sold).sum())
        return revenue - dt * float((regulated_tariff(instance, load) * sold).sum())


@dataclass(frozen=True)
class _Node:
    """bound: safe lower bound, money; loads and misfit of the box's coordinates at the relaxation's solution:
    where splitting the box helps most. reached: an answer has these loads."""

    bound: float
    loads: Array
    misfit: Array
    reached: bool


def _flows(routes: RouteSet, answer: Answer, periods: int) -> Array:
    """The answer's flows over the route set, (R, T). Raises ArithmeticError for a route that is not in it."""
    flows = np.zeros((len(routes.routes), periods))
    plans = routes.plan_kwh
    known: dict[tuple[int, tuple[int, ...], bool], list[int]] = {}
    for k, listed in enumerate(routes.routes):
        known.setdefault((listed.pair, tuple(listed.roads), listed.outside), []).append(k)
    for route in answer.routes:
        plan = np.zeros(plans.shape[1])
        for m, kwh in route.plan:
            plan[m] += kwh
        near = known.get((route.pair, route.roads, route.outside), [])
        match = [
            k
            for k in near
            if np.allclose(plans[k], plan, rtol=0.0, atol=1e-7 * (1.0 + plan.max(initial=0.0)))
        ]
        if not match:
            raise ArithmeticError(f"{route.label} is not in the route set")
        flows[match[0], route.period] += route.flow
    return flows
