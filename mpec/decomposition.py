"""A certified day by hours: cuts, multipliers, intervals, MILPs, polish, and again (design: a certified day).

Each sweep: the day's LP gives multipliers and prices; exact answers to the prices give cuts and, polished,
equilibria; the hours' bounds at the multipliers give the day's upper bound; the gap between both gives the
cutoff with which intervals are tightened. What is written down after every sweep is a valid pair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from formulations.routes import RouteSet, route_set
from instances.model import Instance
from mpec.bound_record import BoundLog
from mpec.claims import Local
from mpec.coupling import Multipliers, no_multipliers
from mpec.day_hours import close_hours
from mpec.day_intervals import first_intervals_of_day, tighten_day
from mpec.day_relaxation import DayAnswer, relaxed_day
from mpec.day_search import DaySearch
from mpec.electricity_cuts import bill_cut, idle_cost
from mpec.equilibrium import BoundStep
from mpec.executors import Tasks
from mpec.followers.users import Users
from mpec.hour_dispatch import HourDispatch, first_load, hour_dispatch
from mpec.hour_solve import Cutoff, with_cuts, with_reference
from mpec.hour_state import HourState, first_states
from mpec.hour_tasks import linear_bound
from mpec.pool_multipliers import pooled_multipliers
from mpec.primal import Candidate, Primal
from mpec.tolerances import BOUND_MARGIN
from mpec.value_cuts import complete_shares, shares_of

Array = np.ndarray
USED = 1e-3
"""veh/h from which on a relaxed point's route counts as used."""

SAMPLING_SECONDS = 4.0
"""What searching an hour's prices and its share of the polish after it take, about."""

FAR = 0.1
"""A best point that is this far below the day's LP, as a share of it, is looked for elsewhere too."""

SHARES_ALIKE = (0.5, 1.0, 0.2)
"""What the mean caps cost then at every station: so much of the LP's median."""

MULTIPLIER_STEP = 0.12
"""How far a step by the pool of equilibria may go, as a share of the largest multiplier."""


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
    search: DaySearch = field(init=False)
    states: list[HourState] = field(default_factory=list)
    dispatches: list[HourDispatch] = field(default_factory=list)
    multipliers: Multipliers | None = None
    upper: float = np.inf
    steps: list[BoundStep] = field(default_factory=list)
    log: BoundLog = field(default_factory=BoundLog)
    began: float = field(default_factory=time.perf_counter)
    before: float = 0.0
    sweep: int = 0
    starts: list[Array] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    idle: int = 0
    errors: Array = field(init=False)
    hour_bounds: Array = field(init=False)
    basis: dict[str, int] = field(default_factory=dict)

    # ---- bookkeeping -------------------------------------------------------------------------
    @property
    def primal(self) -> Primal:
        return self.search.primal

    @property
    def best(self) -> Candidate | None:
        """The best judged point; None before there is one."""
        return self.search.best if hasattr(self, "search") else None

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

    def timed(self, phase: str, began: float) -> None:
        self.phases[phase] = self.phases.get(phase, 0.0) + time.perf_counter() - began

    def done(self) -> bool:
        return self.gap <= self.limits.gap or self.limits.left() <= 0

    # ---- the run -----------------------------------------------------------------------------
    def run(self) -> None:
        """Until the target, the deadline, or a standstill."""
        self.errors = np.full(len(self.instance.periods), 100.0)
        self.hour_bounds = np.full(len(self.instance.periods), np.inf)
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
        self.search = DaySearch(self.routes, self.tasks, self.accept)
        self.states = [replace(state, choices=frozenset()) for state in first_states(self.routes)]
        self._electricity()
        self.multipliers = no_multipliers(self.instance)
        self.timed("prepare", began)
        self._first_points()

    def prepare_again(self, states: list[HourState]) -> None:
        """What a checkpoint doesn't hold is made afresh; the states are taken over."""
        self.routes = route_set(self.instance)
        self.search = DaySearch(self.routes, self.tasks, self.accept)
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
        self.search.first_points(self.starts)
        if self.best is not None:
            self._cut_at(self.best)
        self.timed("polish", began)
        self.note("value-function cuts")

    def _cut_at(self, candidate: Candidate) -> None:
        """A value-function cut and a tangent of the operator's cost at an equilibrium: tight where it matters most."""
        loads = self.routes.plan_kwh.T @ candidate.flows
        costs, pairs = self.primal.route_costs(candidate), len(self.instance.pairs)
        solver = self.primal.follower.dispatch if self.instance.tariff_mode == "dlmp" else None
        self.states = [
            with_reference(
                solver,
                s,
                complete_shares(
                    self.routes, shares_of(self.routes.pair, candidate.flows[:, t], pairs), costs[:, t]
                ),
                loads[:, t],
            )
            for t, s in enumerate(self.states)
        ]

    def _sweep(self) -> None:
        if self.sweep == 1:
            first_intervals_of_day(self)
        day = self._cuts(5 if self.sweep == 1 else 2)
        if self.sweep == 1:
            # A first interval, before the long search for better prices.
            self._linear_bounds()
            self.note("search prices")
            if self.done():
                return
        if day is not None:
            used = np.column_stack([p.route_flow for p in day.points]) > USED
            self.polish_at(np.column_stack([p.price for p in day.points]), sample=True, used=used)
            if self.sweep == 1:
                self._polish_elsewhere()
                self._polish_alike(day)
        self._linear_bounds()
        if self.sweep > 1:
            self.note("tighten intervals")
            if self.done():
                return
            tighten_day(self)
            if self.limits.left() <= 0:
                return
            self._cuts(1)
            self._linear_bounds()
        self.note("hours' MILPs")
        if self.done():
            return
        close_hours(self)
        self.note("next sweep")

    def _cuts(self, rounds: int) -> DayAnswer | None:
        """The day's LP, exact answers to its prices, cuts; repeat. Leaves the LP's multipliers behind."""
        began = time.perf_counter()
        users = Users(self.routes)
        day: DayAnswer | None = None
        last = np.inf
        for _ in range(rounds):
            seconds = float(np.clip(0.3 * self.limits.left(), 1.0, 300.0))
            found = relaxed_day(self.routes, self.states, list(self.dispatches), self.basis, seconds)
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
        self.timed("cuts", began)
        return day

    def polish_at(
        self, prices: Array, *, sample: bool, used: Array | None = None, hours: Sequence[int] | None = None
    ) -> None:
        """Equilibria near prices (M, T); ``hours`` (None: all) are searched one by one where the time suffices."""
        began = time.perf_counter()
        assert self.multipliers is not None
        count = len(self.states) if hours is None else len(hours)
        sample = sample and self.limits.left() > SAMPLING_SECONDS * (1 + count / self.tasks.workers)
        self.search.near(prices, self.multipliers, sample=sample, used=used, hours=hours)
        self.timed("polish", began)

    def _polish_elsewhere(self) -> None:
        """Equilibria at the multipliers that are best for the equilibria met so far: at the LP's, which are best for
        a relaxation, what the hours share (caps, residuals) is shared a little wrongly. The bounds stay at the
        LP's: elsewhere they lose more than the multipliers gain."""
        pool, center = self.primal.pool, self.multipliers
        if pool is None or center is None or self.best is None:
            return
        moved = pooled_multipliers(self.instance, pool, center, MULTIPLIER_STEP)
        if moved is None or self.done():
            return
        self.multipliers = moved
        self.primal.price_hours(moved)
        self.polish_at(pool.best_day(self.best.prices, self.best.flows)[0], sample=True)
        self.multipliers = center
        self.primal.price_hours(center)

    def _polish_alike(self, day: DayAnswer) -> None:
        """Where what was found is far below the day's LP: equilibria at mean caps that cost the same at every station.

        On a city's first LP one station's cap may cost a hundred times another's; hours that are best at such
        multipliers make no day together.
        """
        center, caps = day.multipliers, day.multipliers.cap
        dear = caps[caps > 0.0]
        for share in SHARES_ALIKE:
            reached = -np.inf if self.lower is None else self.lower
            if not len(dear) or day.bound - reached <= FAR * abs(day.bound) or self.limits.left() <= 0:
                break
            alike = np.where(caps > 0.0, share * float(np.median(dear)), 0.0)
            self.multipliers = replace(center, cap=alike, link=0.0 * center.link)
            known = None if self.best is None else self.best.prices
            self.polish_at(
                np.column_stack([p.price for p in day.points]) if known is None else known, sample=True
            )
        self.multipliers = center
        self.primal.price_hours(center)

    def cutoffs(self, t: int) -> tuple[Cutoff, ...]:
        return tuple(c for c in (self.log.cutoff(t),) if c is not None)

    def _linear_bounds(self) -> None:
        """The hours' LP bounds at the day's multipliers: a bound on the day, and the cutoff it allows."""
        began = time.perf_counter()
        assert self.multipliers is not None
        outcomes = self.tasks.map(
            linear_bound,
            [
                (self.routes, s, d, self.multipliers, self.cutoffs(s.t))
                for s, d in zip(self.states, self.dispatches, strict=True)
            ],
        )
        self.take([o.bound for o in outcomes], self.multipliers, True, self.states)
        self.timed("linear bounds", began)

    def take(
        self,
        bounds: list[float],
        multipliers: Multipliers,
        relaxed: bool,
        states: list[HourState],
        proofs: Sequence[Local | None] = (),
    ) -> None:
        """A bound on the day from bounds on the hours; then the cutoff that it and the best point allow."""
        for t, bound in enumerate(bounds):
            if bound == -np.inf and not self.log.has_cutoff and self.lower is None:
                raise HourInfeasible(t)
        self.hour_bounds = np.array(bounds)
        total = float(np.sum(bounds)) + multipliers.constant(self.instance)
        if not np.isfinite(total):
            return
        total += BOUND_MARGIN * (abs(multipliers.constant(self.instance)) + float(np.sum(np.abs(bounds))))
        floor = -np.inf if self.lower is None or not self.log.has_cutoff else self.log.lower
        self.log.add_bounds(multipliers, bounds, max(total, floor), relaxed, states, proofs)
        self.upper = min(self.upper, max(total, floor))
        if self.lower is not None:
            # A hair below the judged profit, so that the best point itself is never cut off by rounding.
            self.log.set_cutoff(multipliers, bounds, total, self.lower - 1e-7 * max(abs(self.lower), 1.0))

    def summary(self) -> dict[str, Any]:
        refused = self.search.refused if hasattr(self, "search") else 0
        phases = {k: round(v, 2) for k, v in self.phases.items()}
        return {"phases": phases, "sweeps": self.sweep, "points_refused_by_the_judge": refused}
