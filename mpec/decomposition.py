"""A certified day by hours: cuts, multipliers, intervals, MILPs, polish, and again (design: a certified day).

Each sweep: the day's LP gives multipliers and prices; exact answers to the prices give cuts and, polished,
equilibria; the hours' bounds at the multipliers give the day's upper bound; the gap between both gives the
cutoff with which intervals are tightened. What is written down after every sweep is a valid pair.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from formulations.routes import RouteSet, route_set
from instances.model import Instance
from mpec.bound_record import BoundLog
from mpec.cost_pieces import CAREFUL_MARGIN
from mpec.coupling import Multipliers, no_multipliers
from mpec.day_relaxation import DayAnswer, relaxed_day
from mpec.electricity_cuts import bill_cut, idle_cost
from mpec.equilibrium import BoundStep
from mpec.executors import Tasks
from mpec.followers.users import Users
from mpec.hour_dispatch import HourDispatch, hour_dispatch
from mpec.hour_model import HourState
from mpec.hour_solve import Cutoff, HourPoint, cut_hour, tighten_hour, with_cuts, with_reference
from mpec.hour_tasks import Sharpened, cut, first_load, linear_bound, sharpen
from mpec.intervals import first_intervals, incoming_at_start, propagated
from mpec.master import Master, multiplier_scale
from mpec.price_sampling import sample_hour
from mpec.primal import Candidate, Primal
from mpec.tolerances import BOUND_MARGIN
from mpec.value_cuts import complete_shares, shares_of

Array = np.ndarray
FLOWS = ("road_flow",)
CHAIN = ("road_flow", "residual", "modified")
ALL = ("residual", "modified", "cheapest", "road_flow", "slack", "price")


@dataclass
class Limits:
    """When to stop: target gap, deadline (perf_counter) or None, sweeps or None."""

    gap: float
    deadline: float | None
    sweeps: int | None = None

    def left(self) -> float:
        return np.inf if self.deadline is None else self.deadline - time.perf_counter()


class HourInfeasible(Exception):
    """An hour has no point even in its relaxation, without any cutoff: no allowed prices exist."""

    def __init__(self, t: int) -> None:
        super().__init__(f"period index {t} has no allowed prices")
        self.t = t


@dataclass
class Decomposition:
    """The whole state of a run; :meth:`run` goes on from wherever it stands."""

    instance: Instance
    limits: Limits
    tasks: Tasks
    solver: str = "highs"
    seed: int = 0
    say: Callable[[str], None] = print
    save: Callable[[Decomposition], None] | None = None
    accept: Callable[[Primal, Candidate], bool] | None = None
    routes: RouteSet = field(init=False)
    primal: Primal = field(init=False)
    states: list[HourState] = field(default_factory=list)
    dispatches: list[HourDispatch] = field(default_factory=list)
    multipliers: Multipliers | None = None
    best: Candidate | None = None
    upper: float = np.inf
    steps: list[BoundStep] = field(default_factory=list)
    log: BoundLog = field(default_factory=BoundLog)
    began: float = field(default_factory=time.perf_counter)
    before: float = 0.0
    sweep: int = 0
    cutoff: Cutoff | None = None
    starts: list[Array] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    idle: int = 0
    errors: Array = field(init=False)
    basis: dict[str, int] = field(default_factory=dict)

    # ---- bookkeeping -------------------------------------------------------------------------
    @property
    def lower(self) -> float | None:
        return None if self.best is None else self.best.profit

    @property
    def gap(self) -> float:
        if self.lower is None or not np.isfinite(self.upper):
            return np.inf
        return (self.upper - self.lower) / max(abs(self.upper), 1.0)

    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.began

    def note(self, doing: str) -> None:
        """A row of bounds.csv, a line of progress, and everything on disk."""
        upper = float(self.upper) if np.isfinite(self.upper) else None
        self.steps.append(BoundStep(len(self.steps) + 1, self.seconds(), self.lower, upper))
        lower_text = "         none" if self.lower is None else f"{self.lower:13,.1f}"
        upper_text = "         none" if upper is None else f"{upper:13,.1f}"
        gap_text = "        " if not np.isfinite(self.gap) else f"{100 * self.gap:7.2f} %"
        clock = f"{int(self.seconds() // 60)}:{int(self.seconds() % 60):02d}"
        self.say(f"{self.sweep:5d}  {clock:>6}  {lower_text}  {upper_text}  {gap_text}   {doing}")
        if self.save is not None:
            self.save(self)

    def _timed(self, phase: str, began: float) -> None:
        self.phases[phase] = self.phases.get(phase, 0.0) + time.perf_counter() - began

    def done(self) -> bool:
        return self.gap <= self.limits.gap or self.limits.left() <= 0

    # ---- the run -----------------------------------------------------------------------------
    def run(self) -> None:
        """Until the target, the deadline, or a standstill."""
        self.errors = np.full(len(self.instance.periods), 100.0)
        if not self.states:
            self._prepare()
        while not self.done() and (self.limits.sweeps is None or self.sweep < self.limits.sweeps):
            self.sweep += 1
            before = self.upper, self.lower
            self._sweep()
            moved = before[1] != self.lower or before[0] - self.upper > 1e-3 * self.limits.gap * abs(
                self.upper
            )
            self.idle = 0 if moved else self.idle + 1
            if self.idle >= 3:
                self.say(f"       nothing has moved for {self.idle} sweeps: ending with the gap as it is")
                break

    def _prepare(self) -> None:
        """Routes, intervals by propagation, the operator's programs, a first equilibrium."""
        began = time.perf_counter()
        self.routes = route_set(self.instance)
        self.primal = Primal(self.routes)
        low = high = incoming_at_start(self.instance)
        for t in range(len(self.instance.periods)):
            box = first_intervals(self.routes, t, low, high)
            low, high = box.low["residual"], box.high["residual"]
            self.states.append(HourState(t, box, choices=frozenset()))
        self._electricity()
        self.multipliers = no_multipliers(self.instance)
        self._timed("prepare", began)
        self._first_points()

    def prepare_again(self, states: list[HourState]) -> None:
        """What a checkpoint doesn't hold is made afresh; the states are taken over."""
        self.routes = route_set(self.instance)
        self.primal = Primal(self.routes)
        self.states = states
        exact = [s.t for s in states if s.exact_dispatch]
        self._electricity(keep_cuts=True)
        for t in exact:
            self.dispatches[t] = hour_dispatch(self.instance, t, first_load(self.instance))

    def _electricity(self, *, keep_cuts: bool = False) -> None:
        """The operator's share of every hour: tariffs, or tangents of its cost at no, half and full load."""
        self.dispatches = [hour_dispatch(self.instance, s.t, s.box.high["load"], False) for s in self.states]
        if self.instance.tariff_mode != "dlmp":
            return
        solver = self.primal.follower.dispatch
        for t, state in enumerate(self.states):
            cuts = state.bill_cuts
            if not keep_cuts:
                cuts = tuple(bill_cut(solver, t, share * state.box.high["load"]) for share in (0.0, 0.5, 1.0))
            self.states[t] = replace(state, bill_cuts=cuts, idle_cost=idle_cost(solver, t))

    def _first_points(self) -> None:
        began = time.perf_counter()
        stations = self.instance.stations
        middle = np.array([[0.5 * (s.price_min + s.price_max)] * len(self.states) for s in stations])
        for prices in [*self.starts, middle]:
            answered = self.primal.answer(prices)
            self._try(self.primal.improve(answered, answered.flows > 0, rounds=2, steps=10))
        if self.best is not None:
            self._cut_at(self.best)
        self._timed("polish", began)
        self.note("value-function cuts")

    def _cut_at(self, candidate: Candidate) -> None:
        """A value-function cut and a tangent of the operator's cost at an equilibrium: tight where it matters most."""
        loads = self.routes.plan_kwh.T @ candidate.flows
        costs = self.primal.route_costs(candidate)
        solver = self.primal.follower.dispatch if self.instance.tariff_mode == "dlmp" else None
        self.states = [
            with_reference(
                solver,
                s,
                complete_shares(self.routes, self._shares(candidate.flows[:, t]), costs[:, t]),
                loads[:, t],
            )
            for t, s in enumerate(self.states)
        ]

    def _shares(self, flows: Array) -> Array:
        return shares_of(self.routes.pair, flows, len(self.instance.pairs))

    def _try(self, candidate: Candidate) -> bool:
        """Keep a candidate if it is better than the best and the judge's own checks let it pass."""
        capacity = max(s.capacity_kw for s in self.instance.stations)
        sound = candidate.excess <= 1e-7 * capacity and candidate.violation <= 5e-7
        if not sound or (self.best is not None and candidate.profit <= self.best.profit):
            return False
        if self.accept is not None and not self.accept(self.primal, candidate):
            self.primal.pieces.margin = CAREFUL_MARGIN
            return False
        self.best = candidate
        return True

    def _chain(self) -> None:
        """Residual intervals hour after hour before anything else: an hour's width is the next one's
        input."""
        began = time.perf_counter()
        assert self.multipliers is not None
        for t in range(len(self.states)):
            self._inherit(t)
            state, _ = cut_hour(self.routes, self.states[t], self.dispatches[t], self.multipliers, rounds=1)
            self.states[t] = state
            self._tightened(t, *tighten_hour(self.routes, state, self.dispatches[t], CHAIN, (), 0.0))
        self._timed("chain", began)

    def _sweep(self) -> None:
        if self.sweep == 1:
            self._first_intervals()
        day = self._cuts(5 if self.sweep == 1 else 2)
        if day is not None:
            self._polish_points(day.points)
        self._linear_bounds(day)
        if self.sweep > 1:
            self.note("tighten intervals")
            if self.done():
                return
            self._tighten()
            if self.limits.left() <= 0:
                return
            self._linear_bounds(self._cuts(2))
        self.note("hours' MILPs")
        if self.done():
            return
        self._hours()
        self.note("next sweep")

    def _first_intervals(self) -> None:
        """Road flows by LPs over the first cuts; with residual flow hour after hour, an hour's width is the next
        one's input."""
        if self.instance.users.xi > 0:
            self._chain()
            return
        began = time.perf_counter()
        tasks = [
            (self.routes, s, d, FLOWS, (), 0.0) for s, d in zip(self.states, self.dispatches, strict=True)
        ]
        for t, result in enumerate(self.tasks.map(tighten_hour, tasks)):
            self._tightened(t, *result)
        self._timed("chain", began)

    def _cuts(self, rounds: int) -> DayAnswer | None:
        """The day's LP, exact answers to its prices, cuts; repeat. Leaves the LP's multipliers behind."""
        began = time.perf_counter()
        users = Users(self.routes)
        day: DayAnswer | None = None
        last = np.inf
        for _ in range(rounds):
            found = relaxed_day(self.routes, self.states, list(self.dispatches), self.basis)
            if found is None:
                break
            day, self.multipliers = found, found.multipliers
            if last - day.bound < 1e-3 * abs(day.bound) or self.limits.left() <= 0:
                break
            last = day.bound
            solver = self.primal.follower.dispatch if self.instance.tariff_mode == "dlmp" else None
            self.states = [
                with_cuts(users, solver, s, p) for s, p in zip(self.states, day.points, strict=True)
            ]
        self._timed("cuts", began)
        return day

    def _polish_points(self, points: list[HourPoint], *, sample: bool = False) -> bool:
        """Equilibria near the points' prices, polished; with ``sample`` better prices are looked for hour by hour
        first, and the best hours of all tries are joined."""
        began = time.perf_counter()
        assert self.multipliers is not None
        self.primal.price_hours(self.multipliers)
        if self.best is not None:
            self.primal.remember(self.best)
        prices = np.column_stack([p.price for p in points])
        answered = self.primal.answer(prices)
        better = self._try(self.primal.improve(answered, answered.flows > 0, rounds=2, steps=10))
        if sample and self.limits.left() > 1.7 * len(self.states):
            found = self.primal.answer(self._sampled(prices, answered))
            better |= self._try(self.primal.improve(found, found.flows > 0, rounds=4, steps=10))
            joined = self.primal.combined(found.prices, found.flows)
            better |= self._try(self.primal.improve(joined, joined.flows > 0, rounds=4, steps=10))
        self._timed("polish", began)
        return better

    def _sampled(self, prices: Array, answered: Candidate) -> Array:
        """Prices (M, T) found hour by hour around ``prices`` and the best so far."""
        assert self.multipliers is not None
        residual = self.primal.program.residuals(answered.flows)
        incoming = np.column_stack([self.primal.program.incoming, residual[:, :-1]])
        tariff = self.primal.tariff(self.multipliers)
        centers = [prices] if self.best is None else [prices, self.best.prices]
        found = self.tasks.map(
            sample_hour,
            [
                (
                    self.routes,
                    t,
                    incoming[:, t],
                    np.array([c[:, t] for c in centers]),
                    self.multipliers,
                    None if tariff is None else tariff[:, t],
                )
                for t in range(len(self.states))
            ],
        )
        return np.column_stack([best for best, _ in found])

    def _cutoffs(self, t: int) -> tuple[Cutoff, ...]:
        return tuple(c for c in (self.log.cutoff(t),) if c is not None)

    def _linear_bounds(self, day: DayAnswer | None) -> None:
        """The hours' LP bounds at the day's multipliers: a bound on the day, and the cutoff it allows."""
        began = time.perf_counter()
        assert self.multipliers is not None
        outcomes = self.tasks.map(
            linear_bound,
            [
                (self.routes, s, d, self.multipliers, self._cutoffs(s.t))
                for s, d in zip(self.states, self.dispatches, strict=True)
            ],
        )
        self._take([o.bound for o in outcomes], self.multipliers, True, self.states)
        self._timed("linear bounds", began)

    def _take(
        self, bounds: list[float], multipliers: Multipliers, relaxed: bool, states: list[HourState]
    ) -> None:
        """A bound on the day from bounds on the hours; then the cutoff that it and the best point allow."""
        for t, bound in enumerate(bounds):
            if bound == -np.inf and not self.log.has_cutoff:
                raise HourInfeasible(t)
        total = float(np.sum(bounds)) + multipliers.constant(self.instance)
        if not np.isfinite(total):
            return
        total += BOUND_MARGIN * (abs(multipliers.constant(self.instance)) + float(np.sum(np.abs(bounds))))
        floor = -np.inf if self.lower is None or not self.log.has_cutoff else self.log.lower
        self.log.add_bounds(multipliers, bounds, max(total, floor), relaxed, states)
        self.upper = min(self.upper, max(total, floor))
        if self.lower is not None:
            # A hair below the judged profit, so that the best point itself is never cut off by rounding.
            self.log.set_cutoff(multipliers, bounds, total, self.lower - 1e-7 * max(abs(self.lower), 1.0))

    def _tighten(self) -> None:
        """Interval LPs, with the cutoff: residuals hour after hour, then everything else side by side."""
        began = time.perf_counter()
        if self.instance.users.xi > 0 and self.sweep > 1:
            for t in range(len(self.states)):
                self._inherit(t)
                self._tightened(
                    t,
                    *tighten_hour(
                        self.routes, self.states[t], self.dispatches[t], CHAIN, self._cutoffs(t), 0.0
                    ),
                )
        results = self.tasks.map(
            tighten_hour,
            [
                (self.routes, s, d, ALL, self._cutoffs(s.t), self._least_money())
                for s, d in zip(self.states, self.dispatches, strict=True)
            ],
        )
        for t, result in enumerate(results):
            self._tightened(t, *result)
        for t in range(len(self.states)):
            self._inherit(t)
        self._timed("tighten", began)

    def _least_money(self) -> float:
        """An interval whose relaxation can't err by this much (money per hour) isn't worth an LP."""
        room = self.limits.gap * max(abs(self.upper), 1.0)
        return 0.02 * room / len(self.states) if np.isfinite(room) else 0.0

    def _tightened(self, t: int, state: HourState, _solves: int, infeasible: bool) -> None:
        if infeasible:
            # HiGHS was seen to call feasible models with narrow intervals infeasible: this proves nothing here.
            return
        self.log.add_claims(t, self.states[t], state)
        self.states[t] = state

    def _inherit(self, t: int) -> None:
        """incoming[t] lies in the previous hour's residual interval."""
        if t == 0:
            return
        before, box = self.states[t - 1].box, self.states[t].box.copy()
        for n in range(len(self.instance.pairs)):
            box.meet("incoming", n, float(before.low["residual"][n]), float(before.high["residual"][n]))
        self.log.add_inherit(t)
        self.states[t] = propagated(self.routes, replace(self.states[t], box=box))

    def _hours(self) -> None:
        """MILPs with refinement at the multipliers, a few master steps, polish from their points."""
        assert self.multipliers is not None
        master = Master(self.instance)
        center, center_value = self.multipliers, np.inf
        trial = center
        for step in range(3):
            outcomes = self._sharpened(trial, rounds=5 if step == 0 else 2)
            bounds = [o.outcome.bound for o in outcomes]
            self._take(bounds, trial, False, [o.proven for o in outcomes])
            value = float(np.sum(bounds)) + trial.constant(self.instance)
            master.add([o.outcome.point for o in outcomes if o.outcome.point is not None])
            if value < center_value:
                center, center_value = trial, value
                master.radius = min(1.0, 1.5 * master.radius)
            else:
                master.radius *= 0.5
            points = [o.outcome.point for o in outcomes]
            if all(p is not None for p in points):
                self._polish_points([p for p in points if p is not None], sample=True)
            self.note("master step" if step < 2 else "")
            if self.done() or len(self.states) == 1:
                break
            trial, expected = master.propose(center, multiplier_scale(self.instance, center))
            if center_value - expected < 0.1 * max(self.upper - (self.lower or self.upper), 0.0):
                break
        self.multipliers = center

    def _sharpened(self, multipliers: Multipliers, rounds: int) -> list[Sharpened]:
        began = time.perf_counter()
        count = len(self.states)
        room = self.limits.gap * max(abs(self.upper), 1.0)
        enough = 0.25 * room / count
        left = self.limits.left()
        # Each worker gets its share of what is left, within reason.
        share = left * self.tasks.workers / count * 0.45 if np.isfinite(left) else 60.0
        seconds = float(np.clip(share, 2.0, 40.0))
        outcomes: list[Sharpened] = self.tasks.map(
            sharpen,
            [
                (
                    self.routes,
                    s,
                    d,
                    multipliers,
                    self._cutoffs(s.t),
                    enough,
                    rounds,
                    seconds,
                    self.solver,
                    self.seed,
                    float(self.errors[s.t]),
                )
                for s, d in zip(self.states, self.dispatches, strict=True)
            ],
        )
        self.states = [o.state for o in outcomes]
        self.errors = np.array([o.error for o in outcomes])
        self.dispatches = [o.dispatch for o in outcomes]
        self._timed("hours", began)
        return outcomes

    def summary(self) -> dict[str, Any]:
        return {"phases": {k: round(v, 2) for k, v in self.phases.items()}, "sweeps": self.sweep}

    def cut_more(self, rounds: int) -> None:
        """Value-function cuts hour by hour, side by side."""
        assert self.multipliers is not None
        self.states = self.tasks.map(
            cut,
            [
                (self.routes, s, d, self.multipliers, self._cutoffs(s.t), rounds)
                for s, d in zip(self.states, self.dispatches, strict=True)
            ],
        )
