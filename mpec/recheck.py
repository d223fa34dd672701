"""Re-prove a stated upper bound from the instance: the judge's second opinion, by its own solves.

Decomposed: the derivation's steps are replayed in order. Every interval claim is taken over only if an LP
of this run confirms it; every cutoff only if this run's bounds carry it; the hours' final bounds are solved
again (other seed, other solver on request) and only their recomputed sum is ever certified. Without
``thorough`` the intervals are taken as they stand and only the final bounds are solved again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from formulations.routes import RouteSet, route_set
from instances.model import Instance
from mpec.bound_record import reference_from_json, state_from_json
from mpec.checks.record import RecheckOutcome
from mpec.coupling import Multipliers
from mpec.day_relaxation import build_day
from mpec.equilibrium import Equilibrium
from mpec.expression import Expression
from mpec.followers.dispatch import DispatchSolver
from mpec.hour_dispatch import HourDispatch, hour_dispatch
from mpec.hour_model import HourState
from mpec.hour_solve import (
    Cutoff,
    FrozenRelaxation,
    build_hour,
    certified_bound,
    plain,
    set_objective,
    with_bill_cuts,
)
from mpec.hour_tasks import first_load
from mpec.intervals import first_intervals, incoming_at_start, propagated
from mpec.options import silent
from mpec.solvers import open_session
from mpec.tolerances import BOUND_MARGIN, EPSILON

Array = np.ndarray
TOLERANCE = 1e-6
"""Relative amount by which a re-solved bound may lie above the stated one and still confirm it."""
OTHER_SEED = 4711
VOID = 1e-7
"""A judged point above a bound by more than this, relatively, refutes it."""
FINISH_SECONDS = 120.0


class _Refuted(Exception):
    """A part of the record is false; the message says which."""


@dataclass
class _Replay:
    """The state of a replay: hours as proven so far, and the cutoff that this run has proven."""

    routes: RouteSet
    states: list[HourState]
    dispatches: list[HourDispatch]
    solver: str
    deadline: float
    cutoff: tuple[Multipliers, list[float]] | None = None
    lower: float = -np.inf
    totals: dict[int, tuple[Multipliers, list[float], float]] | None = None

    def cutoffs(self, t: int) -> tuple[Cutoff, ...]:
        return () if self.cutoff is None else (Cutoff(self.cutoff[0], self.cutoff[1][t]),)


def recheck_bound(
    equilibrium: Equilibrium,
    *,
    solver: str | None = None,
    say: Callable[[str], None] = silent,
    thorough: bool = True,
    seconds: float = 3600.0,
) -> RecheckOutcome:
    """Confirm, refute or leave undecided the upper bound of a result. Never raises for what the record holds.

    Raises SolverMissing where the solver can't be used.
    """
    began = time.perf_counter()
    record = equilibrium.bound_record or {}
    name = solver or "highs"
    try:
        outcome = _recheck(equilibrium, record, name, say, thorough, began + seconds)
    except _Refuted as reason:
        outcome = RecheckOutcome("refuted", details=str(reason))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        outcome = RecheckOutcome("refuted", details=f"the record of the bound can't be read: {error!r}")
    return replace(outcome, solver=name, seconds=time.perf_counter() - began)


def _recheck(
    equilibrium: Equilibrium,
    record: Mapping[str, Any],
    solver: str,
    say: Callable[[str], None],
    thorough: bool,
    deadline: float,
) -> RecheckOutcome:
    kind = record.get("kind")
    routes = route_set(equilibrium.instance)
    states = _propagated(routes)
    if kind == "infeasible":
        return _recheck_infeasible(routes, states, record, solver)
    dispatches = _dispatches(equilibrium.instance, states, record)
    assumed = tuple(
        m.source
        for d in dispatches
        for p in d.scenarios
        for m in (*p.slack_bounds, *p.multiplier_bounds)
        if m is not None and not m.proven
    )
    if kind == "monolithic":
        return replace(_recheck_monolithic(routes, record, dispatches, solver, deadline), assumed=assumed)
    if kind != "decomposed":
        raise _Refuted(f"no such kind of bound: {kind!r}")
    if int(record["route_count"]) != len(routes.routes):
        raise _Refuted(f"the record speaks of {record['route_count']} routes, there are {len(routes.routes)}")
    replay = _Replay(routes, _with_cuts(states, record, routes), dispatches, solver, deadline, totals={})
    if equilibrium.point is not None:
        replay.lower = equilibrium.point.profit
    return replace(_replay(replay, record, say, thorough), assumed=assumed)


def _dispatches(instance: Instance, states: list[HourState], record: Mapping[str, Any]) -> list[HourDispatch]:
    """The operator's programs where the stated bound used them."""
    if record.get("kind") == "monolithic":
        exact = [True] * len(states)
    else:
        best = record["steps"][int(record["best"])]
        exact = [bool(h["exact_dispatch"]) for h in best["hours"]]
    return [
        hour_dispatch(
            instance,
            s.t,
            first_load(instance) if record.get("kind") != "monolithic" else s.box.high["load"],
            e,
        )
        for s, e in zip(states, exact, strict=True)
    ]


def _propagated(routes: RouteSet) -> list[HourState]:
    low = high = incoming_at_start(routes.instance)
    states = []
    for t in range(len(routes.instance.periods)):
        box = first_intervals(routes, t, low, high)
        low, high = box.low["residual"], box.high["residual"]
        states.append(HourState(t, box))
    return states


def _with_cuts(states: list[HourState], record: Mapping[str, Any], routes: RouteSet) -> list[HourState]:
    """The stored references and tangents: any flow that serves the demand gives a valid cut, any point a
    tangent."""
    out = []
    for state, references, tangents in zip(states, record["references"], record["tangents"], strict=True):
        flows = [reference_from_json(r, len(routes.routes)) for r in references]
        if any((f.shares < 0).any() or not np.isfinite(f.shares).all() for f in flows):
            raise _Refuted(f"a reference flow of hour {state.t} is negative")
        points = {int(a): tuple(float(v) for v in p) for a, p in tangents.items()}
        out.append(replace(state, references=flows, tangents=points))
    if routes.instance.tariff_mode != "dlmp":
        return out
    operator = DispatchSolver(routes.instance)
    for t, loads in enumerate(record["bill_loads"]):
        out[t] = with_bill_cuts(out[t], operator, [np.array(load, dtype=float) for load in loads])
    return out


def _replay(
    replay: _Replay, record: Mapping[str, Any], say: Callable[[str], None], thorough: bool
) -> RecheckOutcome:
    steps, best = record["steps"], int(record["best"])
    if not 0 <= best < len(steps) or steps[best]["kind"] != "bounds":
        raise _Refuted("the record names no bound")
    for number, step in enumerate(steps[: best + 1]):
        if time.perf_counter() > replay.deadline:
            return RecheckOutcome("undecided", details=f"time ran out at step {number + 1} of {best + 1}")
        kind = step["kind"]
        if kind == "inherit":
            _inherit(replay, int(step["hour"]))
        elif kind == "claims":
            _claims(replay, step, thorough)
        elif kind == "cutoff":
            _cutoff(replay, step, thorough)
        elif kind == "bounds":
            if number == best:
                return _final(replay, step, say)
            if thorough and any(s["kind"] == "cutoff" and s["bounds_step"] == number for s in steps[:best]):
                _bounds(replay, step, number)
            else:
                replay.totals = replay.totals or {}
                multipliers = Multipliers.from_json(step["multipliers"])
                replay.totals[number] = (
                    multipliers,
                    [float(b) for b in step["bounds"]],
                    _total(replay, multipliers, step["bounds"]),
                )
        else:
            raise _Refuted(f"step {number} is of no known kind: {kind!r}")
    raise _Refuted("the record ends before its bound")


def _inherit(replay: _Replay, t: int) -> None:
    before, box = replay.states[t - 1].box, replay.states[t].box.copy()
    for n in range(len(replay.routes.instance.pairs)):
        box.meet("incoming", n, float(before.low["residual"][n]), float(before.high["residual"][n]))
    replay.states[t] = propagated(replay.routes, replace(replay.states[t], box=box))


def _claims(replay: _Replay, step: Mapping[str, Any], thorough: bool) -> None:
    """Take a claim over if an LP over what is proven so far confirms it; else this run's own, weaker
    value."""
    t = int(step["hour"])
    state = replay.states[t]
    box = state.box.copy()
    frozen, block = None, None
    if thorough:
        model, block = build_hour(replay.routes, plain(state), replay.dispatches[t], replay.cutoffs(t))
        frozen = FrozenRelaxation(model)
    for quantity, index, low, high in step["intervals"]:
        high = np.inf if high is None else high
        old_low, old_high = float(state.box.low[quantity][index]), float(state.box.high[quantity][index])
        if frozen is not None and block is not None:
            expression = _quantity(block, quantity, int(index))
            if expression is None:
                continue
            if low > old_low:
                own, _ = frozen.extreme(expression, maximise=False)
                own = -np.inf if frozen.infeasible else own
                low = low if own >= low - _hair(low) else own
            if high < old_high:
                own, _ = frozen.extreme(expression, maximise=True)
                own = np.inf if frozen.infeasible else own
                high = high if own <= high + _hair(high) else own
        box.low[quantity][index] = max(old_low, low)
        box.high[quantity][index] = min(old_high, high)
    for k in step["dropped"]:
        if frozen is not None and block is not None:
            expression = block.slack.get(int(k))
            own = np.inf if expression is None else frozen.extreme(expression, maximise=False)[0]
            if frozen.infeasible or own <= 2 * EPSILON * float(np.max(state.box.high["cheapest"])):
                continue
        box.usable[int(k)] = False
        box.high["route_flow"][int(k)] = 0.0
    replay.states[t] = replace(state, box=box)


def _hair(value: float) -> float:
    return 1e-8 * (1.0 + abs(value))


def _quantity(block: Any, quantity: str, index: int) -> Expression | None:
    if quantity == "slack":
        found = block.slack.get(index)
        return None if found is None else found
    column = int(getattr(block, quantity)[index])
    return None if column < 0 else Expression().add(column)


def _total(replay: _Replay, multipliers: Multipliers, bounds: list[float]) -> float:
    instance = replay.routes.instance
    if not multipliers.valid(instance):
        raise _Refuted("multipliers that prove nothing (sign, shape, or a tariff outside its limits)")
    constant = multipliers.constant(instance)
    return float(np.sum(bounds)) + constant + BOUND_MARGIN * (abs(constant) + float(np.sum(np.abs(bounds))))


def _hour_bound(
    replay: _Replay, t: int, step: Mapping[str, Any], multipliers: Multipliers, stated: float
) -> float:
    """This run's bound of one hour; it may stop as soon as the stated one is confirmed."""
    partition = step["hours"][t]
    state = replace(
        replay.states[t],
        road_points={int(a): tuple(p) for a, p in partition["road_points"].items()},
        cheapest_points={int(n): tuple(p) for n, p in partition["cheapest_points"].items()},
        dispatch_pairs=frozenset(partition["dispatch_pairs"]),
        exact_dispatch=bool(partition["exact_dispatch"]),
    )
    model, block = build_hour(replay.routes, state, replay.dispatches[t], replay.cutoffs(t))
    set_objective(model, multipliers.lagrangian(block, replay.routes.instance))
    relaxed = bool(step["relaxed"])
    session = open_session(model, replay.solver, seed=OTHER_SEED)
    near = stated + 0.5 * TOLERANCE * (1.0 + abs(stated))
    left = float(np.clip(replay.deadline - time.perf_counter(), 1.0, FINISH_SECONDS))
    solved = session.solve(relax=relaxed, gap=1e-6, time_limit=left, cutoff=None if relaxed else near)
    session.close()
    return certified_bound(model, solved, relaxed)


def _bounds(replay: _Replay, step: Mapping[str, Any], number: int) -> None:
    multipliers = Multipliers.from_json(step["multipliers"])
    own = [_hour_bound(replay, t, step, multipliers, float(b)) for t, b in enumerate(step["bounds"])]
    assert replay.totals is not None
    replay.totals[number] = (multipliers, own, _total(replay, multipliers, own))


def _cutoff(replay: _Replay, step: Mapping[str, Any], thorough: bool) -> None:
    """l_t >= D_t - (UB - lower): with this run's D and UB, and a lower value that the judged point
    attains."""
    assert replay.totals is not None
    multipliers, bounds, total = replay.totals[int(step["bounds_step"])]
    lower = float(step["lower"])
    if not lower <= replay.lower:
        raise _Refuted(f"a cutoff at {lower!r} lies above the judged profit {replay.lower!r}")
    slack = total - lower
    replay.cutoff = (multipliers, [b - slack - 1e-9 * (abs(b) + abs(slack) + 1.0) for b in bounds])


def _final(replay: _Replay, step: Mapping[str, Any], say: Callable[[str], None]) -> RecheckOutcome:
    """Solve the hours again at the stated multipliers; only this sum is certified."""
    multipliers = Multipliers.from_json(step["multipliers"])
    stated = [float(b) for b in step["bounds"]]
    own = []
    for t, bound in enumerate(stated):
        own.append(_hour_bound(replay, t, step, multipliers, bound))
        say(f"recheck: hour {t + 1} of {len(stated)}, stated {bound:.6g}, found {own[-1]:.6g}")
    total = max(_total(replay, multipliers, own), replay.lower)
    claimed = max(_total(replay, multipliers, stated), replay.lower)
    if total > claimed + TOLERANCE * (1.0 + abs(claimed)):
        late = [
            t for t, (a, b) in enumerate(zip(own, stated, strict=True)) if a > b + TOLERANCE * (1.0 + abs(b))
        ]
        periods = ", ".join(str(replay.routes.instance.periods[t].id) for t in late)
        return RecheckOutcome(
            "undecided",
            total,
            f"the bound found again is {total!r}, above the stated {claimed!r} (periods {periods})",
        )
    return RecheckOutcome("confirmed", total, extra={"hours": own})


def _recheck_monolithic(
    routes: RouteSet, record: Mapping[str, Any], dispatches: list[HourDispatch], solver: str, deadline: float
) -> RecheckOutcome:
    """The same MILP from this run's own intervals, with the stored partitions."""
    states: list[HourState] = []
    operator = DispatchSolver(routes.instance) if routes.instance.tariff_mode == "dlmp" else None
    for fresh, stored in zip(_propagated(routes), record["hours"], strict=True):
        old = state_from_json(stored)
        states.append(
            replace(
                fresh,
                road_points=old.road_points,
                cheapest_points=old.cheapest_points,
                dispatch_pairs=old.dispatch_pairs,
                exact_dispatch=old.exact_dispatch,
            )
        )
        if operator is not None:
            states[-1] = with_bill_cuts(states[-1], operator, [cut.load for cut in old.bill_cuts])
    day = build_day(routes, states, list(dispatches))
    stated = record["upper_bound"]
    near = None if stated is None else float(stated) + 0.5 * TOLERANCE * (1.0 + abs(float(stated)))
    left = max(deadline - time.perf_counter(), 1.0)
    solved = open_session(day.model, solver, seed=OTHER_SEED).solve(gap=1e-6, time_limit=left, cutoff=near)
    if solved.status == "infeasible":
        if record.get("infeasible"):
            return RecheckOutcome("confirmed", None, "the MILP is infeasible", infeasible=True)
        return RecheckOutcome("refuted", details="this run finds the MILP infeasible")
    bound = certified_bound(day.model, solved, False)
    if stated is None or not np.isfinite(bound):
        return RecheckOutcome("undecided", details="no bound was found in time")
    if bound <= float(stated) + TOLERANCE * (1.0 + abs(float(stated))):
        return RecheckOutcome("confirmed", max(bound, float(stated)))
    return RecheckOutcome(
        "undecided", bound, f"the bound found again is {bound!r}, above the stated {stated!r}"
    )


def _recheck_infeasible(
    routes: RouteSet, states: list[HourState], record: Mapping[str, Any], solver: str
) -> RecheckOutcome:
    labels = [p.id for p in routes.instance.periods]
    t = labels.index(int(record["period"]))
    dispatch = hour_dispatch(routes.instance, t, states[t].box.high["load"], False)
    model, _ = build_hour(routes, states[t], dispatch)
    solved = open_session(model, solver, seed=OTHER_SEED).solve(time_limit=FINISH_SECONDS)
    if solved.status != "infeasible":
        return RecheckOutcome("undecided", details=f"period {labels[t]}: the solver says {solved.status}")
    return RecheckOutcome("confirmed", None, f"period {labels[t]} has no allowed prices", infeasible=True)


def bound_beside(lower: float | None, bound: float, say: Callable[[str], None]) -> float | None:
    """The bound as it may stand beside a judged point: rounding is lifted, a bound that the point refutes is void."""
    if not np.isfinite(bound):
        return None
    if lower is not None and lower > bound + VOID * (1.0 + abs(bound)):
        say(f"VOID: the judged point earns {lower!r}, above the bound {bound!r}; the bound is dropped")
        return None
    return bound if lower is None else max(bound, lower)


def empty_hour_text(period: int, station: str | None) -> str:
    """Why a game is infeasible, in words."""
    return f"period {period}: no prices in the box keep " + (
        f"station {station} within its capacity" if station else "all stations within their capacities"
    )


def blamed_station(routes: RouteSet, state: HourState, dispatch: HourDispatch) -> str | None:
    """The station whose capacity alone makes the hour infeasible, if there is one."""
    instance = routes.instance
    for m, station in enumerate(instance.stations):
        box = state.box.copy()
        box.high["load"][m] = float((box.high["route_flow"] * routes.plan_kwh[:, m]).sum())
        loose = replace(state, box=box)
        model, _ = build_hour(routes, loose, replace(dispatch, scenarios=()))
        if open_session(model).solve(time_limit=30.0).status != "infeasible":
            return station.id
    return None
