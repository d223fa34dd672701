"""What is sent to the workers: one hour's work, sized so that a few seconds pass inside."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from formulations.routes import RouteSet
from instances.model import Instance
from mpec.coupling import Multipliers
from mpec.electricity_cuts import true_bill
from mpec.followers.users import Users
from mpec.hour_dispatch import HourDispatch, hour_dispatch, worst_pairs
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
from mpec.refinement import refine, worst_choices
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
    rounds: int
    seconds: float
    error: float
    dispatch: HourDispatch


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


def sharpen(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch,
    multipliers: Multipliers,
    cutoffs: tuple[Cutoff, ...],
    enough: float,
    rounds: int,
    seconds: float,
    solver: str,
    seed: int,
    last_error: float,
) -> Sharpened:
    """MILP, refine where its point is wrong, cut at its prices, and again, until the hour is good enough.

    ``enough`` (money): rounds end when the relaxed point's error and the MILP's own gap are below it.
    Early MILPs are solved only as well as their relaxation deserves: to a share of the last point's
    error. Returns the smallest bound met; all are valid.
    """
    began = time.perf_counter()
    users, operator = Users(routes), solver_of(routes.instance)
    best: HourBound | None = None
    best_state = state
    last_point: HourPoint | None = None
    done, aim = 0, max(enough, 3e-3 * max(last_error, 1.0))
    for done in range(1, rounds + 1):
        left = seconds - (time.perf_counter() - began)
        if done > 1 and left < 0.15 * seconds:
            break
        model, block = build_hour(routes, state, dispatch, cutoffs)
        set_objective(model, multipliers.lagrangian(block, routes.instance))
        size_of = max(abs(best.bound) if best and np.isfinite(best.bound) else 1e3, 1.0)
        # A solver that fails, loses its licence or contradicts itself costs this bound, not the run.
        run = solve_milp(
            model, solver, seed=seed, gap=max(aim / size_of, 1e-7), time_limit=max(0.6 * left, 1.0)
        )
        solved = run.solved
        bound = certified_bound(model, solved, False)
        point = None if solved.x is None else read_point(block, solved.x)
        size = (model.rows, model.columns, sum(model.integer))
        outcome = HourBound(
            state.t, bound, solved.objective, point, solved.seconds, run.note or solved.status, size
        )
        gain = np.inf if best is None else best.bound - bound
        if best is None or bound < best.bound:
            best, best_state = outcome, state
        if point is None or solved.x is None:
            break
        last_point = point
        refined, error = refine(routes, state, point)
        refined, missed = worst_choices(block, refined, solved.x, least=0.02 * enough)
        error += missed
        pairs: list[str] = []
        if block.dispatch is not None:
            pairs = worst_pairs(block.dispatch, solved.x, state.dispatch_pairs, 12, 1e-3 * max(enough, 1e-3))
            refined = replace(refined, dispatch_pairs=state.dispatch_pairs | frozenset(pairs))
        refined = with_cuts(users, operator, refined, point)
        if operator is not None:
            short = true_bill(operator, state.t, point.load) - point.electricity
            error += max(short, 0.0)
            if short > enough and not state.exact_dispatch:
                # The bill jumps inside this hour's loads: only the operator's own conditions can hold it.
                if not dispatch.scenarios:
                    dispatch = hour_dispatch(routes.instance, state.t, first_load(routes.instance))
                refined = replace(refined, exact_dispatch=True)
                pairs = ["exact"]
        last_error = error
        own = bound - (solved.objective if solved.objective is not None else -np.inf)
        if own <= enough and error <= enough and not pairs:
            break
        if done > 2 and gain < 0.02 * enough and own <= aim and error <= 2.0 * enough and not pairs:
            break
        aim = max(0.3 * enough, 0.1 * error)
        state = refined
    assert best is not None
    if best.point is None:
        # Its bound counts all the same; where the hour's best prices lie, an earlier point or the LP's must tell.
        if last_point is None:
            last_point = bound_hour(routes, best_state, dispatch, multipliers, cutoffs, relax=True).point
        best = replace(best, point=last_point)
    return Sharpened(state, best_state, best, done, time.perf_counter() - began, last_error, dispatch)
