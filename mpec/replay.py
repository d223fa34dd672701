"""A decomposed bound's derivation, replayed: every step is proven again or not taken over.

Every interval claim is taken over only if an LP of this run confirms it; every cutoff only if this run's bounds carry
it; the hours' final bounds are solved again (other seed, other solver on request). A judged day lies in every
interval and below every bound: what it contradicts is false, whoever says it. The sum is exact rational arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from formulations.routes import RouteSet
from instances.model import Instance
from mpec.bound_reading import (
    BoundsStep,
    ClaimsStep,
    CutoffStep,
    Derivation,
    InheritStep,
    read_derivation,
)
from mpec.checks.record import RecheckOutcome
from mpec.coupling import Multipliers, mean_caps
from mpec.equilibrium import Equilibrium
from mpec.exact_sums import exact, products, upwards
from mpec.followers.dispatch import DispatchSolver
from mpec.hour_dispatch import HourDispatch, hour_dispatch
from mpec.hour_solve import with_bill_cuts
from mpec.hour_state import HourState, first_states
from mpec.hour_tasks import first_load
from mpec.intervals import propagated
from mpec.judged_hours import false_bounds, judged_hours
from mpec.replayed_hours import (
    TOLERANCE,
    Refuted,
    Replay,
    claimed,
    hour_bound,
)
from mpec.tolerances import BOUND_MARGIN


class SolverFalse(Exception):
    """This run's own solver contradicts the judged point: nothing is decided."""


def recheck_derivation(
    routes: RouteSet,
    equilibrium: Equilibrium,
    record: Mapping[str, Any],
    solver: str,
    say: Callable[[str], None],
    thorough: bool,
    deadline: float,
) -> RecheckOutcome:
    """Replay the record of a decomposed run. Raises RecordError, Refuted."""
    derivation = read_derivation(record, routes)
    dispatches = [
        hour_dispatch(routes.instance, t, first_load(routes.instance), part.exact_dispatch)
        for t, part in enumerate(derivation.result.hours)
    ]
    point = equilibrium.point
    replay = Replay(
        routes,
        _with_cuts(routes, derivation),
        dispatches,
        solver,
        deadline,
        [] if point is None else judged_hours(routes, point),
        -np.inf if point is None else point.profit,
    )
    try:
        outcome = _steps(replay, derivation, say, thorough)
    except SolverFalse as reason:
        outcome = RecheckOutcome("undecided", details=str(reason))
    return replace(outcome, assumed=assumed_ms(dispatches))


def assumed_ms(dispatches: Sequence[HourDispatch]) -> tuple[str, ...]:
    """Sources of the operator's Ms that rest on somebody's word."""
    return tuple(
        m.source
        for d in dispatches
        for p in d.scenarios
        for m in (*p.slack_bounds, *p.multiplier_bounds)
        if m is not None and not m.proven
    )


def _with_cuts(routes: RouteSet, derivation: Derivation) -> list[HourState]:
    """The stored references and tangents: any flow that serves the demand gives a valid cut, any load a tangent
    of the operator's cost, which this run computes itself."""
    states = [
        replace(state, references=list(references), tangents=tangents)
        for state, references, tangents in zip(
            first_states(routes), derivation.references, derivation.tangents, strict=True
        )
    ]
    if routes.instance.tariff_mode != "dlmp":
        return states
    operator = DispatchSolver(routes.instance)
    return [
        with_bill_cuts(state, operator, loads)
        for state, loads in zip(states, derivation.bill_loads, strict=True)
    ]


def _steps(
    replay: Replay, derivation: Derivation, say: Callable[[str], None], thorough: bool
) -> RecheckOutcome:
    best = derivation.best
    carrying = {s.bounds_step for s in derivation.steps[:best] if isinstance(s, CutoffStep)}
    for number, step in enumerate(derivation.steps[: best + 1]):
        if time.perf_counter() > replay.deadline:
            return RecheckOutcome("undecided", details=f"time ran out at step {number + 1} of {best + 1}")
        if isinstance(step, InheritStep):
            _inherit(replay, step.hour)
        elif isinstance(step, ClaimsStep):
            _claims(replay, step, thorough)
        elif isinstance(step, CutoffStep):
            _cutoff(replay, step)
        elif number == best:
            return _final(replay, step, say, thorough)
        elif number in carrying:
            _bounds(replay, step, number, thorough)
    raise Refuted("the record ends before its bound")


def _inherit(replay: Replay, t: int) -> None:
    before, box = replay.states[t - 1].box, replay.states[t].box.copy()
    for n in range(len(replay.routes.instance.pairs)):
        box.meet("incoming", n, float(before.low["residual"][n]), float(before.high["residual"][n]))
    replay.states[t] = propagated(replay.routes, replace(replay.states[t], box=box))
    replay.look(t)


def _claims(replay: Replay, step: ClaimsStep, thorough: bool) -> None:
    """Take a claim over if an LP over what is proven so far confirms it; else this run's own, weaker value."""
    t = step.hour
    rows = replay.cutoffs(t)
    replay.states[t] = claimed(replay, replay.states[t], rows, step.claims, thorough)
    replay.look(t)


def total_bound(instance: Instance, multipliers: Multipliers, bounds: Sequence[float]) -> float:
    """sum_t bound_t + sum_m cap_m T rho_cap_m, exactly, then rounded up, plus the judge's tolerance on mean caps.

    Raises Refuted for multipliers that prove nothing (a sign, or a tariff outside its limits), both exactly.
    """
    if not multipliers.valid(instance):
        raise Refuted("multipliers that prove nothing (sign, shape, or a tariff outside its limits)")
    caps = mean_caps(instance)
    known = np.isfinite(caps)
    constant = products(zip(multipliers.cap[known], caps[known], strict=True)) * len(instance.periods)
    size = abs(constant) + exact(abs(b) for b in bounds)
    return upwards(exact(bounds) + constant + Fraction(BOUND_MARGIN) * size)


def _bounds(replay: Replay, step: BoundsStep, number: int, thorough: bool) -> None:
    """The bounds that a cutoff rests on: this run's own, or (not ``thorough``) the stated ones."""
    own = list(step.bounds)
    if thorough:
        own = [
            hour_bound(replay, t, part, step.multipliers, bound, step.relaxed, thorough)
            for t, (part, bound) in enumerate(zip(step.hours, step.bounds, strict=True))
        ]
    _above_the_judged(replay, step.multipliers, own)
    total = total_bound(replay.routes.instance, step.multipliers, own) if np.isfinite(own).all() else np.inf
    replay.totals[number] = (step.multipliers, own, total)


def _above_the_judged(replay: Replay, multipliers: Multipliers, bounds: Sequence[float]) -> None:
    """No hour's bound lies below what the judged day earns there. Raises SolverFalse."""
    if not replay.judged:
        return
    false = false_bounds(replay.judged, multipliers, bounds, replay.routes.instance.period_h)
    if false:
        periods = ", ".join(str(replay.label(t)) for t in false)
        raise SolverFalse(
            f"a bound is FALSE: the judged point earns more than it in period {periods}; try another --solver"
        )


def _cutoff(replay: Replay, step: CutoffStep) -> None:
    """l_t >= D_t - (UB - lower): with this run's D and UB, and a lower value that the judged point attains."""
    multipliers, bounds, total = replay.totals[step.bounds_step]
    if not step.lower <= replay.lower:
        raise Refuted(f"a cutoff at {step.lower!r} lies above the judged profit {replay.lower!r}")
    slack = total - step.lower
    if np.isfinite(slack):
        replay.cutoff = (multipliers, [b - slack - 1e-9 * (abs(b) + abs(slack) + 1.0) for b in bounds])


def _final(replay: Replay, step: BoundsStep, say: Callable[[str], None], thorough: bool) -> RecheckOutcome:
    """Solve the hours again at the stated multipliers; only this sum is certified."""
    own = []
    for t, (part, bound) in enumerate(zip(step.hours, step.bounds, strict=True)):
        own.append(hour_bound(replay, t, part, step.multipliers, bound, step.relaxed, thorough))
        say(f"recheck: hour {t + 1} of {len(step.bounds)}, stated {bound:.6g}, found {own[-1]:.6g}")
    _above_the_judged(replay, step.multipliers, own)
    if not np.isfinite(own).all():
        return RecheckOutcome("undecided", details="an hour's bound was not found in time")
    # Under a cutoff the hours speak of days worth at least that only; the judged day is one of them.
    total = max(total_bound(replay.routes.instance, step.multipliers, own), replay.lower)
    claimed = max(total_bound(replay.routes.instance, step.multipliers, step.bounds), replay.lower)
    if total > claimed + TOLERANCE * (1.0 + abs(claimed)):
        late = [
            t
            for t, (a, b) in enumerate(zip(own, step.bounds, strict=True))
            if a > b + TOLERANCE * (1.0 + abs(b))
        ]
        periods = ", ".join(str(replay.label(t)) for t in late)
        return RecheckOutcome(
            "undecided",
            total,
            f"the bound found again is {total!r}, above the stated {claimed!r} (periods {periods})",
        )
    return RecheckOutcome("confirmed", total, "; ".join(replay.notes[:3]), extra={"hours": own})
