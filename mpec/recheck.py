"""Re-prove a stated upper bound from the instance: the judge's second opinion, by its own solves.

Decomposed: the derivation's steps are replayed in order (mpec.replay). One MILP: the same model from this run's own
intervals, solved again. No prices at all: the named hour's MILP, shown infeasible again. The record is read with
suspicion (mpec.bound_reading), and only what this run finds is ever certified.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from formulations.prices import price_box
from formulations.routes import RouteSet, route_set
from instances.model import Instance
from mpec.bound_reading import RecordError, read_one_model
from mpec.checks.record import RecheckOutcome
from mpec.day_relaxation import build_day
from mpec.equilibrium import Equilibrium
from mpec.executors import Tasks
from mpec.followers.answer import Follower
from mpec.followers.dispatch import DispatchSolver
from mpec.hour_dispatch import hour_dispatch
from mpec.hour_solve import (
    build_hour,
    read_point,
    with_bill_cuts,
    with_tangents,
)
from mpec.hour_state import HourState, first_states
from mpec.hour_tightening import tighten_hour
from mpec.options import silent
from mpec.price_search import within_caps
from mpec.refinement import refine
from mpec.refusals import Refused
from mpec.replay import assumed_ms, exact_ms, recheck_derivation
from mpec.replayed_hours import FINISH_SECONDS, TOLERANCE, Refuted
from mpec.second_opinions import OTHER_SEED, said_empty, second_bound
from mpec.solvers import SolverError, SolverMissing

TRIED = 200
"""Prices answered exactly before "no prices are allowed" is believed."""

SHARPER = 6
"""So often an hour that is said to be empty is made sharper where its relaxation still has a point."""

SHARPENED = ("road_flow", "cheapest", "modified", "residual", "slack", "price", "load")
"""What intervals are then shrunk of, by linear programs."""

VOID = 1e-7
"""A judged point above a bound by more than this, relatively, refutes it."""


def recheck_bound(
    equilibrium: Equilibrium,
    *,
    solver: str | None = None,
    say: Callable[[str], None] = silent,
    thorough: bool = True,
    seconds: float = 3600.0,
    workers: int = 1,
) -> RecheckOutcome:
    """Confirm, refute or leave undecided the upper bound of a result. Never raises for what the record holds.

    Without ``thorough`` the intervals are taken as they stand and only the final bounds are solved again: for a
    record that this process made itself. ``workers``: processes that prove hours side by side; the outcome is the
    same with any number. Raises SolverMissing where the solver can't be used.
    """
    began = time.perf_counter()
    record = equilibrium.bound_record or {}
    name = solver or "highs"
    # Before any solver runs in this process: the workers are copies of it.
    tasks = Tasks(
        min(workers, len(equilibrium.instance.periods)) if record.get("kind") == "decomposed" else 1
    )
    try:
        outcome = _recheck(equilibrium, record, name, say, thorough, began + seconds, tasks)
    except (Refuted, RecordError) as reason:
        outcome = RecheckOutcome("refuted", details=str(reason))
    except SolverMissing:
        raise
    except (SolverError, Refused, ArithmeticError, MemoryError) as error:
        outcome = RecheckOutcome("undecided", details=f"the solver failed: {type(error).__name__}: {error}")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError) as error:
        outcome = RecheckOutcome("refuted", details=f"the record of the bound can't be read: {error!r}")
    finally:
        tasks.close()
    return replace(outcome, solver=name, seconds=time.perf_counter() - began)


def _recheck(
    equilibrium: Equilibrium,
    record: Mapping[str, Any],
    solver: str,
    say: Callable[[str], None],
    thorough: bool,
    deadline: float,
    tasks: Tasks,
) -> RecheckOutcome:
    kind = record.get("kind")
    routes = route_set(equilibrium.instance)
    if kind == "infeasible":
        return _recheck_infeasible(routes, record, solver)
    if kind == "monolithic":
        return _recheck_monolithic(routes, equilibrium, record, solver, deadline)
    if kind == "decomposed":
        if equilibrium.upper_bound is None and record.get("upper_bound") is None and record.get("best") == -1:
            return RecheckOutcome("none", details="the run stopped before it had a bound")
        return recheck_derivation(routes, equilibrium, record, solver, say, thorough, deadline, tasks)
    raise Refuted(f"no such kind of bound: {kind!r}")


def _recheck_monolithic(
    routes: RouteSet, equilibrium: Equilibrium, record: Mapping[str, Any], solver: str, deadline: float
) -> RecheckOutcome:
    """The same MILP from this run's own intervals, with the stored partitions."""
    stored = read_one_model(record, routes)
    fresh = first_states(routes)
    dispatches = [hour_dispatch(routes.instance, s.t, s.box.high["load"], True) for s in fresh]
    operator = DispatchSolver(routes.instance) if routes.instance.tariff_mode == "dlmp" else None
    states: list[HourState] = []
    for state, part, loads in zip(fresh, stored.hours, stored.bill_loads, strict=True):
        states.append(part.of(state))
        if operator is not None:
            states[-1] = with_bill_cuts(states[-1], operator, loads)
    day = build_day(routes, states, list(dispatches))
    assumed = assumed_ms(dispatches)
    stated = stored.upper_bound
    near = None if stated is None else stated + 0.5 * TOLERANCE * (1.0 + abs(stated))
    opinion = second_bound(day.model, solver, near, deadline, seconds=None)
    bound = opinion.bound
    point = equilibrium.point
    if bound == -np.inf:
        if stored.infeasible and point is None:
            _refute_by_prices(routes)
            says, _, doubt = said_empty(day.model, solver, seconds=FINISH_SECONDS)
            if doubt:
                return RecheckOutcome("undecided", details=doubt, assumed=assumed)
            found = f"the MILP is infeasible ({says})"
            return RecheckOutcome("confirmed", None, found, infeasible=True, assumed=assumed)
        details = "this run finds the MILP infeasible" + (
            "" if point is None else ", FALSELY: there is a point"
        )
        return RecheckOutcome("undecided", details=details, assumed=assumed)
    if stated is None or not np.isfinite(bound):
        return RecheckOutcome("undecided", details="no bound was found in time", assumed=assumed)
    if point is not None and point.profit > bound + VOID * (1.0 + abs(bound)):
        details = f"the solver's bound {bound!r} is FALSE: the judged point earns {point.profit!r}"
        return RecheckOutcome("undecided", details=details, assumed=assumed)
    if bound <= stated + TOLERANCE * (1.0 + abs(stated)):
        exact = exact_ms(dispatches)
        words = (f"the day's MILP ({opinion.word_of})",) if opinion.word_of else ()
        return RecheckOutcome(
            "confirmed",
            max(bound, stated),
            opinion.note,
            assumed=assumed,
            exact_ms=exact,
            on_word=words,
        )
    return RecheckOutcome(
        "undecided",
        bound,
        f"the bound found again is {bound!r}, above the stated {stated!r}",
        assumed=assumed,
    )


def _recheck_infeasible(routes: RouteSet, record: Mapping[str, Any], solver: str) -> RecheckOutcome:
    """No prices are allowed in the named period: every solver at hand must say so, and no price tried be allowed."""
    labels = [p.id for p in routes.instance.periods]
    period = record.get("period")
    if isinstance(period, bool) or period not in labels:
        raise Refuted(f"the record speaks of period {period!r}, which the game has not")
    t = labels.index(period)
    _refute_by_prices(routes)
    state = first_states(routes)[t]
    dispatch = hour_dispatch(routes.instance, t, state.box.high["load"], False)
    for _ in range(SHARPER):
        model, block = build_hour(routes, state, dispatch)
        says, x, doubt = said_empty(model, solver, seconds=FINISH_SECONDS)
        if x is None:
            break
        point = read_point(block, x)
        # The point is none of the game's: a relaxation that is sharper there may have none at all.
        state, _, _ = tighten_hour(routes, state, dispatch, SHARPENED)
        state, _ = refine(routes, with_tangents(routes.instance, state, point), point)
    if doubt:
        return RecheckOutcome("undecided", details=f"period {labels[t]}: {doubt}")
    found = f"period {labels[t]} has no allowed prices ({says})"
    return RecheckOutcome("confirmed", None, found, infeasible=True)


def _refute_by_prices(routes: RouteSet) -> None:
    """Answer some prices exactly: one that keeps every station's limit shows that some are allowed. Raises Refuted."""
    tried = _prices_to_try(routes.instance)
    _, excess = Follower(routes.instance, routes).evaluate(tried)
    if excess.min() <= 0.0:
        allowed = tried[int(np.argmin(excess))].tolist()
        raise Refuted(f"prices are allowed, although none are said to be: {allowed}")


def _prices_to_try(instance: Instance) -> np.ndarray:
    """(TRIED, M, T): all prices at the same share of their box, from least to most, and random ones."""
    low, high = price_box(instance)
    same = np.linspace(0.0, 1.0, TRIED // 4)[:, None, None] * np.ones_like(low)
    drawn = np.random.default_rng(OTHER_SEED).random((TRIED - len(same), *low.shape))
    return within_caps(instance, low + np.concatenate([same, drawn]) * (high - low))


def bound_beside(lower: float | None, bound: float, say: Callable[[str], None]) -> float | None:
    """The bound as it may stand beside a judged point: rounding is lifted, a bound that the point refutes is void."""
    if not np.isfinite(bound):
        return None
    if lower is not None and lower > bound + VOID * (1.0 + abs(bound)):
        say(f"VOID: the judged point earns {lower!r}, above the bound {bound!r}; the bound is dropped")
        return None
    return bound if lower is None else max(bound, lower)
