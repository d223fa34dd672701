"""What is sent to the workers: one hour's work, sized so that a few seconds pass inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from formulations.prices import has_steps
from formulations.routes import RouteSet
from instances.model import Instance
from mpec.claims import Local
from mpec.coupling import Multipliers, reckoned_tariff
from mpec.effort import LP_SECONDS, Effort
from mpec.electricity_cuts import true_bill
from mpec.followers.users import Users
from mpec.hour_closing import Closing
from mpec.hour_dispatch import HourDispatch, hour_dispatch, worst_pairs
from mpec.hour_pool import PooledHour
from mpec.hour_search import search_hour, search_on
from mpec.hour_solve import (
    Cutoff,
    HourBound,
    HourPoint,
    bound_hour,
    build_hour,
    certified_bound,
    read_point,
    set_objective,
    solver_of,
    with_cuts,
)
from mpec.hour_state import HourState
from mpec.refinement import point_errors, refine, worst_choices
from mpec.solvers.careful import solve_milp
from mpec.tolerances import EPSILON

Array = np.ndarray


@dataclass(frozen=True)
class Sharpened:
    """An hour after some rounds of MILP and refinement.

    ``state`` is refined and goes on; ``proven`` is the state in which ``outcome.bound`` was computed.
    """

    state: HourState
    proven: HourState
    outcome: HourBound
    seconds: float
    error: float
    dispatch: HourDispatch
    proof: Local | None = None
    closing: Closing | None = None
    found: tuple[PooledHour, ...] = ()


def first_load(instance: Instance) -> Array:
    """The stations' limits: loads for which the operator's programs are compiled, whatever the hour."""
    return np.array([s.capacity_kw * (1 + EPSILON) for s in instance.stations])


def linear_bound(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch,
    multipliers: Multipliers,
    cutoffs: tuple[Cutoff, ...],
) -> HourBound:
    """The hour's LP bound at the multipliers, in its plain form (the one that a recheck repeats)."""
    return bound_hour(routes, state, dispatch, multipliers, cutoffs, relax=True)


@dataclass
class _Rounds:
    """MILP, refine where its point is wrong, cut at its prices, and again: one hour's work in progress."""

    routes: RouteSet
    dispatch: HourDispatch
    multipliers: Multipliers
    enough: float
    solver: str
    seed: int
    error: float
    point: HourPoint | None = None
    settled: bool = False

    def __post_init__(self) -> None:
        self.users, self.operator = Users(self.routes), solver_of(self.routes.instance)
        self.aim = max(self.enough, 3e-3 * max(self.error, 1.0))

    def solve(
        self, state: HourState, cutoffs: tuple[Cutoff, ...], size_of: float, limits: dict[str, Any]
    ) -> tuple[HourBound, HourState]:
        """One MILP; its bound, and the state refined at its point (as it was where there is none)."""
        routes = self.routes
        model, block = build_hour(routes, state, self.dispatch, cutoffs)
        set_objective(model, self.multipliers.lagrangian(block, routes.instance))
        # A solver that fails, loses its licence or contradicts itself costs this bound, not the run.
        run = solve_milp(
            model,
            self.solver,
            seed=self.seed,
            gap=max(self.aim / size_of, 1e-7),
            **limits,
        )
        solved = run.solved
        bound = certified_bound(model, solved, False)
        point = None if solved.x is None else read_point(block, solved.x)
        size = (model.rows, model.columns, sum(model.integer))
        outcome = HourBound(
            state.t, bound, solved.objective, point, solved.seconds, run.note or solved.status, size
        )
        self.settled = False
        if point is None or solved.x is None:
            return outcome, state
        self.point = point
        refined, error = refine(routes, state, point, least=WORTH * self.enough)
        refined, missed = worst_choices(block, refined, solved.x, least=WORTH * self.enough)
        error += missed
        pairs: list[str] = []
        if block.dispatch is not None:
            least = 1e-3 * max(self.enough, 1e-3)
            pairs = worst_pairs(block.dispatch, solved.x, state.dispatch_pairs, 12, least)
            refined = replace(refined, dispatch_pairs=state.dispatch_pairs | frozenset(pairs))
        refined = with_cuts(self.users, self.operator, refined, point)
        if self.operator is not None:
            short = true_bill(self.operator, state.t, point.load) - point.electricity
            error += max(short, 0.0)
            if short > self.enough and not state.exact_dispatch:
                # The bill jumps inside this hour's loads: only the operator's own conditions can hold it.
                if not self.dispatch.scenarios:
                    self.dispatch = hour_dispatch(routes.instance, state.t, first_load(routes.instance))
                refined = replace(refined, exact_dispatch=True)
                pairs = ["exact"]
        self.error = error
        own = bound - (solved.objective if solved.objective is not None else -np.inf)
        self.settled = own <= self.enough and error <= self.enough and not pairs
        self.aim = max(0.3 * self.enough, 0.1 * error)
        return outcome, refined


def sharpen(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch,
    multipliers: Multipliers,
    cutoffs: tuple[Cutoff, ...],
    known: float | None,
    enough: float,
    effort: Effort,
    solver: str,
    seed: int,
    last_error: float,
    closing: Closing | None = None,
    best_known: PooledHour | None = None,
) -> Sharpened:
    """Bound an hour by MILPs with refinement; where an equilibrium's value is known, close the gap to it.

    ``closing``: what an earlier call at the same multipliers left; it goes on from there. ``best_known``: the
    equilibrium that earns ``known``; a better one is looked for near the MILPs' last point, before the closing.

    ``enough`` (money): work ends when the bound is that near to ``known``, or the relaxed point's error and the
    MILP's own gap are below it. Early MILPs are solved only as well as their relaxation deserves: to a share of the
    last point's error. Returns the smallest bound met; all are valid.
    """
    # Made by the one who sends the hour; its clock begins where the hour does.
    effort = Effort(effort.seconds, effort.counted)
    work = _Rounds(routes, dispatch, multipliers, enough, solver, seed, last_error)

    if closing is not None and known is not None:
        closing = replace(closing, known=max(known, closing.known), cutoffs=cutoffs, dispatch=dispatch)
        _close(closing, work, enough, effort)
        best = HourBound(state.t, closing.bound, None, None, 0.0, "closing", (0, 0, 0))
        return _sharpened(state, closing, best, closing.proven, work, effort.used())
    if known is None or has_steps(routes.instance):
        best, best_state, state = _first_rounds(work, state, cutoffs, effort)
    else:
        best, best_state, state = _linear_rounds(work, state, cutoffs, known, effort)
    if known is not None and best.bound == -np.inf:
        # The known equilibrium refutes the solver's "infeasible": the LP's bound stands.
        linear = bound_hour(routes, state, work.dispatch, multipliers, cutoffs, relax=True)
        best, best_state = replace(best, bound=linear.bound), state
    found: list[PooledHour] = []
    if known is not None and best_known is not None and work.point and best.bound - known > enough:
        day_tariff = reckoned_tariff(routes.instance, multipliers)
        tariff = None if day_tariff is None else day_tariff[:, state.t]
        centers, near = work.point.price[None], (best_known,)
        found = search_hour(routes, state.t, best_known.incoming, multipliers, tariff, centers, near)
        dt = routes.instance.period_h
        top = max([best_known, *found], key=lambda hour: hour.value(multipliers, dt))
        if best.bound - known > WIDE_OPEN * enough:
            found += search_on(
                routes, state.t, multipliers, tariff, top, 0.02 * enough, effort, SEARCH_SHARE * effort.left()
            )
        known = max([known, *(hour.value(multipliers, routes.instance.period_h) for hour in found)])
    if known is not None and np.isfinite(best.bound) and best.bound - known > enough:
        closing = Closing(routes, work.dispatch, multipliers, cutoffs, known, state, best.bound, best_state)
        _close(closing, work, enough, effort)
        best, best_state = replace(best, bound=closing.bound), closing.proven
    done = _sharpened(state, closing, best, best_state, work, effort.used())
    return replace(done, found=tuple(found))


def _sharpened(
    state: HourState,
    closing: Closing | None,
    best: HourBound,
    proven: HourState,
    work: _Rounds,
    seconds: float,
) -> Sharpened:
    """The outcome; the state that goes on keeps its own intervals and takes over all cuts and partitions."""
    proof = None
    if closing is not None:
        state, proof = replace(closing.base, box=state.box), closing.proof
    point = work.point
    if point is None:
        # Its bound counts all the same; where the hour's best prices lie, the LP's point must tell.
        point = bound_hour(work.routes, state, work.dispatch, work.multipliers, (), relax=True).point
    best = replace(best, point=point)
    return Sharpened(state, proven, best, seconds, work.error, work.dispatch, proof, closing)


def _linear_rounds(
    work: _Rounds, state: HourState, cutoffs: tuple[Cutoff, ...], known: float, effort: Effort
) -> tuple[HourBound, HourState, HourState]:
    """Cuts and tangents at the LP's points: the best bound, the state that gave it, and the state to go on with."""
    best: HourBound | None = None
    best_state = state
    for _ in range(LINEAR_ROUNDS):
        outcome = bound_hour(work.routes, state, work.dispatch, work.multipliers, cutoffs, relax=True)
        effort.spend(LP_SECONDS)
        gain = np.inf if best is None else best.bound - outcome.bound
        if best is None or outcome.bound < best.bound:
            best, best_state = outcome, state
        if outcome.point is None:
            break
        work.point, work.error = outcome.point, point_errors(work.routes, outcome.point).total
        if best.bound - known <= work.enough or gain < 0.02 * (best.bound - known):
            break
        state = with_cuts(work.users, work.operator, state, outcome.point)
    assert best is not None
    return best, best_state, state


def _first_rounds(
    work: _Rounds, state: HourState, cutoffs: tuple[Cutoff, ...], effort: Effort
) -> tuple[HourBound, HourState, HourState]:
    """MILPs with refinement: the best bound, the state that gave it, and the state to go on with."""
    seconds, enough = effort.left(), work.enough
    best: HourBound | None = None
    best_state = state
    for done in range(1, FIRST_ROUNDS + 1):
        if done > 1 and effort.left() < 0.15 * seconds:
            break
        size_of = max(abs(best.bound) if best and np.isfinite(best.bound) else 1e3, 1.0)
        limit = 0.6 * effort.left()
        tried = state
        outcome, state = work.solve(state, cutoffs, size_of, effort.limits(limit))
        effort.spend(_nominal(outcome, limit))
        gain = np.inf if best is None else best.bound - outcome.bound
        if best is None or outcome.bound < best.bound:
            best, best_state = outcome, tried
        if outcome.point is None or work.settled:
            break
        if done > 2 and gain < 0.02 * enough and work.error <= 2.0 * enough:
            break
    assert best is not None
    return best, best_state, state


WORTH = 0.1
"""What a breakpoint or a binary must mend, as a share of what is enough for the hour: each costs the MILP dearly."""

FIRST_ROUNDS = 5
"""MILPs with refinement where no equilibrium of the hour is known."""

LINEAR_ROUNDS = 5
"""LPs with cuts before interval LPs begin, where one is."""

WIDE_OPEN = 5.0
"""An hour that is open by more than this many times what is enough is searched on before it is closed."""

SEARCH_SHARE = 0.25
"""The share of an hour's seconds for that."""

SHORT_MILP = 5.0
"""Seconds of a MILP where interval LPs may do better."""


def _close(closing: Closing, work: _Rounds, enough: float, effort: Effort) -> None:
    """Rounds of interval LPs above a level; then the next level: again a part of the way from the bound to what is
    known, or a higher one where nothing comes of it. What is known comes first: that is soon seen to work, or not."""
    milps = True
    while closing.open > enough and effort.left() > 0.0:
        all_the_way, idle, rounds = closing.share >= 1.0, 0, 0
        while not closing.reached and closing.open > enough and effort.left() > 0.0 and idle < PATIENCE:
            before, width, solved = closing.open, closing.width(), closing.solved
            going, rounds = closing.shrink(), rounds + 1
            effort.spend(LP_SECONDS * (closing.solved - solved))
            if not going:
                break
            if closing.open < 0.8 * before or (not all_the_way and closing.width() < 0.95 * width):
                idle = 0
                continue
            idle += 1
            closing.dull.clear()
        if milps and (not all_the_way or int(closing.local.box.usable.sum()) <= FEW_ROUTES):
            milps = _refine_above(closing, work, enough, effort)
        if closing.reached and closing.level > closing.floor:
            closing.share = min(1.0, closing.share * (1.5 if rounds == 1 else 1.0))
        elif closing.share <= LEAST_SHARE:
            return
        else:
            closing.share = min(SECOND_SHARE, 0.5 * closing.share)
        closing.begin()


def _refine_above(closing: Closing, work: _Rounds, enough: float, effort: Effort) -> bool:
    """MILPs above the level, refined where their points are wrong: what is refined serves all levels. False once one
    takes too long."""
    last, idle = np.inf, 0
    for _ in range(REFINED_ROUNDS):
        if closing.reached or closing.open <= enough or effort.left() <= 0.0:
            break
        limit = min(effort.left(), SHORT_MILP)
        size_of = max(abs(closing.bound), 1.0)
        outcome, refined = work.solve(closing.local, closing.cutoffs, size_of, effort.limits(limit))
        effort.spend(_nominal(outcome, limit))
        if outcome.point is not None:
            closing.take(outcome.bound)
        closing.refined(refined, work.dispatch)
        if outcome.status != "optimal":
            return False
        idle = 0 if last - outcome.bound > 0.02 * closing.open else idle + 1
        if outcome.point is None or idle > PATIENCE:
            break
        last = outcome.bound
    return True


FEW_ROUTES = 40
"""So few routes left: a MILP is soon solved, and comes before any level but the one that is known."""

REFINED_ROUNDS = 8
"""MILPs with refinement at one level at most."""

PATIENCE = 2
"""Rounds of interval LPs that change little, one after the other, before another level is tried."""

SECOND_SHARE = 0.15
"""Where the way down to what is known can't be proved at once, this share of it is tried. In the hardest hours of the
bundled day 0.15 took three or four rounds, 0.2 to 0.4 were never proved."""


def _nominal(outcome: HourBound, limit: float) -> float:
    """Seconds that a MILP counts for where they are counted: by its binaries, all of its limit if that ended it."""
    return limit if outcome.status != "optimal" else min(limit, 0.05 * outcome.size[2])


LEAST_SHARE = 0.05
"""A level nearer to the bound than this share of what is open isn't worth its LPs."""
