"""What is sent to the workers: one hour's work, sized so that a few seconds pass inside."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from formulations.prices import has_steps
from formulations.routes import RouteSet
from mpec.claims import Local
from mpec.coupling import Multipliers, reckoned_tariff
from mpec.effort import LP_SECONDS, Effort
from mpec.hour_closing import Closing
from mpec.hour_dispatch import HourDispatch
from mpec.hour_levels import close
from mpec.hour_pool import PooledHour
from mpec.hour_rounds import Rounds, nominal_seconds
from mpec.hour_search import search_hour, search_on
from mpec.hour_solve import (
    Cutoff,
    HourBound,
    bound_hour,
    with_cuts,
)
from mpec.hour_state import HourState
from mpec.refinement import point_errors

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


def linear_bound(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch,
    multipliers: Multipliers,
    cutoffs: tuple[Cutoff, ...],
) -> HourBound:
    """The hour's LP bound at the multipliers, in its plain form (the one that a recheck repeats)."""
    return bound_hour(routes, state, dispatch, multipliers, cutoffs, relax=True)


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
    work = Rounds(routes, dispatch, multipliers, enough, solver, seed, last_error)

    if closing is not None and known is not None:
        closing = replace(closing, known=max(known, closing.known), cutoffs=cutoffs, dispatch=dispatch)
        close(closing, work, effort)
        best = HourBound(state.t, closing.bound, None, None, 0.0, "closing", (0, 0, 0))
        return _sharpened(state, closing, best, closing.proven, work, effort.used())
    if known is None or has_steps(routes.instance):
        best, best_state, state = _first_rounds(work, state, cutoffs, effort)
    else:
        best, best_state, state = _linear_rounds(work, state, cutoffs, known, effort)
    if known is not None and best.bound == -np.inf:
        # The known equilibrium refutes the solver's "infeasible".
        best = replace(best, bound=np.inf)
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
        close(closing, work, effort)
        best, best_state = replace(best, bound=closing.bound), closing.proven
    done = _sharpened(state, closing, best, best_state, work, effort.used())
    return replace(done, found=tuple(found))


def _sharpened(
    state: HourState,
    closing: Closing | None,
    best: HourBound,
    proven: HourState,
    work: Rounds,
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
    work: Rounds, state: HourState, cutoffs: tuple[Cutoff, ...], known: float, effort: Effort
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
    work: Rounds, state: HourState, cutoffs: tuple[Cutoff, ...], effort: Effort
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
        effort.spend(nominal_seconds(outcome, limit))
        gain = np.inf if best is None else best.bound - outcome.bound
        if best is None or outcome.bound < best.bound:
            best, best_state = outcome, tried
        if outcome.point is None or work.settled:
            break
        if done > 2 and gain < 0.02 * enough and work.error <= 2.0 * enough:
            break
    assert best is not None
    return best, best_state, state


FIRST_ROUNDS = 5
"""MILPs with refinement where no equilibrium of the hour is known."""

LINEAR_ROUNDS = 5
"""LPs with cuts before interval LPs begin, where one is."""

WIDE_OPEN = 5.0
"""An hour that is open by more than this many times what is enough is searched on before it is closed."""

SEARCH_SHARE = 0.25
"""The share of an hour's seconds for that."""
