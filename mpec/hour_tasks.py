"""What is sent to the workers: one hour's work, sized so that a few seconds pass inside."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from formulations.routes import RouteSet
from mpec.coupling import Multipliers
from mpec.followers.users import Users
from mpec.hour_dispatch import HourDispatch, worst_pairs
from mpec.hour_model import HourState
from mpec.hour_solve import (
    Cutoff,
    HourBound,
    bound_hour,
    build_hour,
    certified_bound,
    cut_hour,
    read_point,
    reference_at,
    set_objective,
)
from mpec.refinement import refine
from mpec.solvers import open_session

Array = np.ndarray

MOST_REFERENCES = 40
"""Value-function cuts kept per hour: older ones that a point doesn't touch go first."""


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


def linear_bound(
    routes: RouteSet, state: HourState, dispatch: HourDispatch, multipliers: Multipliers, cutoffs: tuple[Cutoff, ...]
) -> HourBound:
    """The hour's LP bound at the multipliers, in its plain form (the one that a recheck repeats)."""
    return bound_hour(routes, state, dispatch, multipliers, cutoffs, relax=True)


def cut(
    routes: RouteSet, state: HourState, dispatch: HourDispatch, multipliers: Multipliers, cutoffs: tuple[Cutoff, ...], rounds: int
) -> HourState:
    """Value-function cuts by LPs."""
    return cut_hour(routes, state, dispatch, multipliers, rounds=rounds, cutoffs=cutoffs)[0]


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
) -> Sharpened:
    """MILP, refine where its point is wrong, cut at its prices, and again, until the hour is good enough.

    ``enough`` (money): rounds end when the relaxed point's error, the MILP's own gap and the last gain
    are all below it. Returns the smallest bound met; all are valid.
    """
    began = time.perf_counter()
    users = Users(routes)
    best: HourBound | None = None
    best_state = state
    done = 0
    for done in range(1, rounds + 1):
        left = seconds - (time.perf_counter() - began)
        if done > 1 and left < 0.15 * seconds:
            break
        model, block = build_hour(routes, state, dispatch, cutoffs)
        set_objective(model, multipliers.lagrangian(block, routes.instance))
        session = open_session(model, solver, seed=seed)
        gap = max(0.3 * enough / max(abs(best.bound) if best else 1e3, 1.0), 1e-6)
        solved = session.solve(gap=gap, time_limit=max(0.6 * left, 1.0))
        session.close()
        bound = certified_bound(model, solved, False)
        point = None if solved.x is None else read_point(block, solved.x)
        size = (model.rows, model.columns, sum(model.integer))
        outcome = HourBound(state.t, bound, solved.objective, point, solved.seconds, solved.status, size)
        gain = np.inf if best is None else best.bound - bound
        if best is None or bound < best.bound:
            best, best_state = outcome, state
        if point is None or solved.x is None:
            break
        refined, error = refine(routes, state, point)
        pairs: list[str] = []
        if block.dispatch is not None:
            pairs = worst_pairs(block.dispatch, solved.x, state.dispatch_pairs, 12, 1e-3 * max(enough, 1e-3))
            refined = replace(refined, dispatch_pairs=state.dispatch_pairs | frozenset(pairs))
        refined = replace(refined, references=[*refined.references, reference_at(users, point)])
        own = bound - (solved.objective if solved.objective is not None else -np.inf)
        if own <= enough and error <= enough and not pairs:
            break
        if done > 2 and gain < 0.02 * enough and not pairs:
            break
        state = refined
    assert best is not None
    kept = replace(state, references=state.references[-MOST_REFERENCES:])
    return Sharpened(kept, best_state, best, done, time.perf_counter() - began)
