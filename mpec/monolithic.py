"""The textbook form: the selected periods as one MILP, solved by one solver, polished and bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from formulations.prices import has_steps, price_box
from formulations.routes import RouteSet, route_set
from instances.model import Instance
from mpec.blame import blamed_limit, blamed_station, empty_day_text, empty_hour_text
from mpec.bound_record import state_to_json
from mpec.certificate import versions
from mpec.day_relaxation import DayModel, build_day
from mpec.equilibrium import BoundStep, Equilibrium
from mpec.followers.dispatch import DispatchSolver
from mpec.hour_dispatch import HourDispatch, hour_dispatch
from mpec.hour_solve import build_hour, certified_bound, read_point, with_bill_cuts
from mpec.hour_state import HourState, first_states
from mpec.model_files import write_model
from mpec.model_health import findings
from mpec.options import SolveOptions
from mpec.price_grid import grid_prices
from mpec.primal import Candidate, Primal
from mpec.recheck import bound_beside
from mpec.solvers import open_session
from mpec.solvers.careful import solve_milp

Array = np.ndarray
SEGMENTS = 4
"""Pieces per congested road and per O-D pair's cheapest cost: a uniform grid, as the literature has it."""


def monolithic_states(routes: RouteSet, dispatches: list[HourDispatch]) -> list[HourState]:
    """Propagated intervals, uniform partitions, every pair of the operator with its binary."""
    states = []
    for t, state in enumerate(first_states(routes)):
        box, parts = state.box, np.linspace(0.0, 1.0, SEGMENTS + 1)[1:-1]

        def grid(quantity: str, box: Any = box, parts: Array = parts) -> dict[int, tuple[float, ...]]:
            a, b = box.low[quantity], box.high[quantity]
            return {
                int(i): tuple(a[i] + parts * (b[i] - a[i])) for i in np.flatnonzero(np.isfinite(b) & (b > a))
            }

        cheapest = grid("cheapest") if routes.instance.users.xi > 0 else {}
        state = replace(state, road_points=grid("road_flow"), cheapest_points=cheapest)
        if dispatches:
            prefix = f"h{routes.instance.periods[t].id}"
            names = [
                f"{prefix}.{program.scenario}.{name}"
                for program in dispatches[t].scenarios
                for i, name in enumerate(program.rows.names)
                if not program.rows.equality[i] and not program.rows.given_only[i]
            ]
            state = replace(state, dispatch_pairs=frozenset(names), exact_dispatch=True)
        states.append(state)
    return states


def monolithic_model(instance: Instance) -> tuple[RouteSet, list[HourState], list[HourDispatch], DayModel]:
    """The single-level MILP of all selected periods."""
    routes = route_set(instance)
    dispatches = [hour_dispatch(instance, s.t, s.box.high["load"]) for s in first_states(routes)]
    states = monolithic_states(routes, dispatches)
    if instance.tariff_mode == "dlmp":
        # Tangents of the operator's cost besides its pairs: some multipliers have no derived bound, so no binary.
        operator = DispatchSolver(instance)
        states = [
            with_bill_cuts(s, operator, [share * s.box.high["load"] for share in (0.0, 0.5, 1.0)])
            for s in states
        ]
    return routes, states, dispatches, build_day(routes, states, list(dispatches), name=instance.name)


def run_monolithic(
    instance: Instance, options: SolveOptions, *, accept: Callable[[Primal, Candidate], bool]
) -> Equilibrium:
    """Solve the MILP within the time limit; its bound is the upper bound, its polished point the lower."""
    began = time.perf_counter()
    routes, states, dispatches, day = monolithic_model(instance)
    if options.export is not None:
        write_model(day.model, options.export)
    size = f"{day.model.rows} rows, {day.model.columns} columns, {sum(day.model.integer)} binaries"
    options.say(f"one MILP: {size}; solving with {options.solver}")
    solver: str = options.solver
    left = (
        None if options.time_limit is None else max(options.time_limit - (time.perf_counter() - began), 1.0)
    )
    doubts = findings(day.model)
    for finding in doubts:
        options.say(f"the recheck will take no solver's word for this MILP's bound: {finding}")
    run = solve_milp(day.model, solver, gap=0.3 * options.gap, time_limit=left)
    solved, solver = run.solved, run.solver
    if run.note:
        options.say(run.note)
    bound = certified_bound(day.model, solved, False)
    best = _best_point(routes, day, solved.x, accept)
    point = None if best is None else best[0].point(best[1])
    lower = None if point is None else point.profit
    upper = bound_beside(lower, float(bound), options.say)
    gap = np.inf if upper is None or lower is None else (upper - lower) / max(abs(upper), 1.0)
    seconds = time.perf_counter() - began
    infeasible = bound == -np.inf and point is None
    if point is not None:
        status = "optimal" if gap <= options.gap else "feasible"
    else:
        status = "infeasible" if infeasible else "no_point"
    record: dict[str, Any] = {
        "kind": "monolithic",
        "upper_bound": upper,
        "hours": [state_to_json(s) for s in states],
        "infeasible": infeasible,
    }
    why = ""
    if infeasible:
        where = _empty_hour(routes, states, dispatches, solver)
        if where is not None:
            why, record = where
        else:
            limit = blamed_limit(routes, states, dispatches)
            why = empty_day_text(instance.periods[0].id, instance.periods[-1].id, limit)
        options.say(why)
    return Equilibrium(
        instance=instance,
        method="monolithic",
        status=status,  # type: ignore[arg-type]
        point=point,
        lower_bound=lower,
        upper_bound=upper,
        seconds=seconds,
        solver=solver,
        seed=options.seed,
        options={
            **options.record(),
            "model": size,
            "model_findings": [str(f) for f in doubts],
            "solver_notes": run.note,
        },
        versions=versions(),
        bounds=(BoundStep(1, seconds, lower, upper),),
        bound_record=record,
        reason=why,
    )


def _empty_hour(
    routes: RouteSet, states: list[HourState], dispatches: list[HourDispatch], solver: str
) -> tuple[str, dict[str, Any]] | None:
    """The first hour that has no point even alone, as a reason and a record; None if it takes several hours."""
    for state, dispatch in zip(states, dispatches, strict=True):
        model, _ = build_hour(routes, state, dispatch)
        solved = open_session(model, solver).solve(time_limit=60.0)
        if certified_bound(model, solved, False) == -np.inf:
            station = blamed_station(routes, state, dispatch)
            period = routes.instance.periods[state.t].id
            return empty_hour_text(period, station), {
                "kind": "infeasible",
                "period": period,
                "station": station,
            }
    return None


def _best_point(
    routes: RouteSet, day: DayModel, x: Array | None, accept: Callable[[Primal, Candidate], bool]
) -> tuple[Primal, Candidate] | None:
    """The followers' answer to the MILP's prices (or to mid-box prices), polished; None if none is
    allowed."""
    primal = Primal(routes)
    stations = routes.instance.stations
    low, high = price_box(routes.instance)
    middle = 0.5 * (low + high)
    tries: list[tuple[Array, Array]] = []
    if x is not None:
        points = [read_point(block, x) for block in day.blocks]
        used = np.column_stack([p.route_flow for p in points]) > 1e-3
        tries.append((np.column_stack([p.price for p in points]), used))
    tries.append((middle, np.zeros((len(routes.routes), len(day.blocks)), dtype=bool)))
    best: Candidate | None = None
    capacity = max(s.capacity_kw for s in stations)
    for prices, used in tries:
        start = primal.answer(prices)
        found = [start, primal.improve(start, used)]
        if has_steps(routes.instance):
            found = [primal.at(p) for p in grid_prices(primal.follower, [c.prices for c in found], None)]
        for candidate in found:
            sound = candidate.excess <= 1e-7 * capacity and candidate.violation <= 5e-7
            if sound and (best is None or candidate.profit > best.profit) and accept(primal, candidate):
                best = candidate
    return None if best is None else (primal, best)
