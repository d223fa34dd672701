"""A decomposed bound's derivation, replayed: every step is proven again or not taken over.

Every interval claim is taken over only if an LP of this run confirms it; every cutoff only if this run's bounds carry
it; the hours' final bounds are solved again (other seed, other solver on request). A judged day lies in every
interval and below every bound: what it contradicts is false, whoever says it. The sum is exact rational arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    Interval,
    LocalProof,
    Partition,
    read_derivation,
)
from mpec.checks.record import RecheckOutcome
from mpec.coupling import Multipliers, mean_caps
from mpec.equilibrium import Equilibrium
from mpec.exact_sums import exact, exact_dual_bound, products, upwards
from mpec.expression import Expression
from mpec.followers.dispatch import DispatchSolver
from mpec.hour_dispatch import HourDispatch, hour_dispatch
from mpec.hour_solve import (
    Cutoff,
    FrozenRelaxation,
    build_hour,
    certified_bound,
    plain,
    relaxed_bound,
    set_objective,
    with_bill_cuts,
)
from mpec.hour_state import HourState, first_states
from mpec.hour_tasks import first_load
from mpec.intervals import propagated
from mpec.judged_hours import JudgedHour, excluded, false_bounds, judged_hours
from mpec.linear_model import LinearModel
from mpec.model_health import findings
from mpec.solvers import open_session
from mpec.solvers.careful import solve_milp
from mpec.tolerances import BOUND_MARGIN, EPSILON

TOLERANCE = 1e-6
"""Relative amount by which a re-solved bound may lie above the stated one and still confirm it."""

OTHER_SEED = 4711
FINISH_SECONDS = 120.0


class Refuted(Exception):
    """A part of the record is false; the message says which."""


class SolverFalse(Exception):
    """This run's own solver contradicts the judged point: nothing is decided."""


@dataclass
class _Replay:
    """The state of a replay: hours as proven so far, and the cutoff that this run has proven."""

    routes: RouteSet
    states: list[HourState]
    dispatches: list[HourDispatch]
    solver: str
    deadline: float
    judged: list[JudgedHour]
    lower: float
    cutoff: tuple[Multipliers, list[float]] | None = None
    totals: dict[int, tuple[Multipliers, list[float], float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def cutoffs(self, t: int) -> tuple[Cutoff, ...]:
        return () if self.cutoff is None else (Cutoff(self.cutoff[0], self.cutoff[1][t]),)

    def look(self, t: int) -> None:
        """The judged hour lies in the intervals as they stand now. Raises Refuted."""
        if not self.judged:
            return
        box = self.states[t].box
        fault = excluded(self.judged[t], box.low, box.high, box.usable)
        if fault:
            raise Refuted(f"period {self.label(t)}: an interval excludes the judged point: {fault}")

    def label(self, t: int) -> int:
        return self.routes.instance.periods[t].id


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
    replay = _Replay(
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
    replay: _Replay, derivation: Derivation, say: Callable[[str], None], thorough: bool
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


def _inherit(replay: _Replay, t: int) -> None:
    before, box = replay.states[t - 1].box, replay.states[t].box.copy()
    for n in range(len(replay.routes.instance.pairs)):
        box.meet("incoming", n, float(before.low["residual"][n]), float(before.high["residual"][n]))
    replay.states[t] = propagated(replay.routes, replace(replay.states[t], box=box))
    replay.look(t)


def _claims(replay: _Replay, step: ClaimsStep, thorough: bool) -> None:
    """Take a claim over if an LP over what is proven so far confirms it; else this run's own, weaker value."""
    t = step.hour
    rows = replay.cutoffs(t)
    replay.states[t] = _claimed(replay, replay.states[t], rows, step.intervals, step.dropped, thorough)
    replay.look(t)


def _claimed(
    replay: _Replay,
    state: HourState,
    rows: tuple[Cutoff, ...],
    intervals: Sequence[Interval],
    dropped: Sequence[int],
    thorough: bool,
) -> HourState:
    """``state`` with the claims that LPs over its relaxation, with the cutoffs ``rows``, confirm."""
    box = state.box.copy()
    frozen: FrozenRelaxation | None = None
    block: Any = None
    if thorough:
        model, block = build_hour(replay.routes, plain(state), replay.dispatches[state.t], rows)
        frozen = FrozenRelaxation(model)
    for quantity, index, low, high in intervals:
        old_low, old_high = float(state.box.low[quantity][index]), float(state.box.high[quantity][index])
        if frozen is not None:
            expression = _quantity(block, quantity, index)
            if expression is None:
                continue
            if low > old_low:
                own = _least(frozen, expression)
                low = low if own >= low - _hair(low) else own
            if high < old_high:
                own = _most(frozen, expression)
                high = high if own <= high + _hair(high) else own
        box.low[quantity][index] = max(old_low, low)
        box.high[quantity][index] = min(old_high, high)
    few = 2 * EPSILON * float(np.max(state.box.high["cheapest"], initial=0.0))
    for k in dropped:
        if frozen is not None:
            # A route without a slack row is not in this hour's relaxation: nothing shows that it is too dear.
            expression = block.slack.get(k)
            if expression is None or _least(frozen, expression) <= few:
                continue
        box.usable[k] = False
        box.high["route_flow"][k] = 0.0
    return replace(state, box=box)


def _least(frozen: FrozenRelaxation, expression: Expression) -> float:
    """A proven lower end, -inf where the LP gives none (an "infeasible" is no proof: solvers were wrong there)."""
    value, _ = frozen.extreme(expression, maximise=False)
    return -np.inf if frozen.infeasible or np.isnan(value) else value


def _most(frozen: FrozenRelaxation, expression: Expression) -> float:
    value, _ = frozen.extreme(expression, maximise=True)
    return np.inf if frozen.infeasible or np.isnan(value) else value


def _hair(value: float) -> float:
    return 1e-8 * (1.0 + abs(value))


def _quantity(block: Any, quantity: str, index: int) -> Expression | None:
    if quantity == "slack":
        found = block.slack.get(index)
        return None if found is None else found
    column = int(getattr(block, quantity)[index])
    return None if column < 0 else Expression().add(column)


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


def _hour_bound(
    replay: _Replay,
    t: int,
    partition: Partition,
    multipliers: Multipliers,
    stated: float,
    relaxed: bool,
    thorough: bool,
) -> float:
    """This run's bound of one hour; it may stop as soon as the stated one is confirmed."""
    state = partition.of(replay.states[t])
    if partition.local is not None:
        return _local_bound(replay, state, partition.local, multipliers, stated, thorough)
    model, block = build_hour(replay.routes, state, replay.dispatches[t], replay.cutoffs(t))
    set_objective(model, multipliers.lagrangian(block, replay.routes.instance))
    if relaxed:
        solved = open_session(model, "highs").solve(relax=True, time_limit=FINISH_SECONDS)
        bound = certified_bound(model, solved, True)
        # What the duals prove needs no trust in the solver: the sum is repeated without rounding.
        return (
            bound
            if solved.row_duals is None
            else max(bound, exact_dual_bound(model, solved.row_duals.tolist()))
        )
    near = stated + 0.5 * TOLERANCE * (1.0 + abs(stated))
    bound, note = second_bound(model, replay.solver, near, replay.deadline, seconds=FINISH_SECONDS)
    if note:
        replay.notes.append(f"period {replay.label(t)}: {note}")
    return bound


def _local_bound(
    replay: _Replay,
    state: HourState,
    local: LocalProof,
    multipliers: Multipliers,
    stated: float,
    thorough: bool,
) -> float:
    """max(level, the bound over what earns the level): its intervals are claimed round by round, each proven again.

    The LP comes first: its bound, or its proof that nothing is left, needs no trust. A MILP without a point proves
    nothing here.
    """
    rows = (*replay.cutoffs(state.t), Cutoff(multipliers, local.level))
    for intervals, dropped in local.rounds:
        state = propagated(replay.routes, _claimed(replay, state, rows, intervals, dropped, thorough))
    model, block = build_hour(replay.routes, state, replay.dispatches[state.t], replay.cutoffs(state.t))
    set_objective(model, multipliers.lagrangian(block, replay.routes.instance))
    near = stated + 0.5 * TOLERANCE * (1.0 + abs(stated))
    bound = relaxed_bound(model)
    if max(bound, local.level) > near:
        found, note = second_bound(model, replay.solver, near, replay.deadline, seconds=FINISH_SECONDS)
        if note:
            replay.notes.append(f"period {replay.label(state.t)}: {note}")
        bound = min(bound, found) if found > -np.inf else bound
    return max(bound, local.level)


def second_bound(
    model: LinearModel, solver: str, near: float | None, deadline: float, *, seconds: float | None
) -> tuple[float, str]:
    """A MILP's bound by a run of this process; (bound, what made a further run necessary).

    A model with findings (mpec.model_health) is solved twice, the second time without presolve and with another seed:
    the larger bound counts.
    """
    left = max(deadline - time.perf_counter(), 1.0)
    limit = left if seconds is None else min(left, seconds)
    bounds, notes = [], []
    found = findings(model)
    for presolve, seed in ((True, OTHER_SEED), (False, OTHER_SEED + 1)):
        run = solve_milp(model, solver, seed=seed, presolve=presolve, gap=1e-6, time_limit=limit, cutoff=near)
        bounds.append(certified_bound(model, run.solved, False))
        notes += [run.note] if run.note else []
        if not found or not bounds[-1] > -np.inf:
            break
    if found:
        notes.append(f"{found[0]}; solved twice")
    return max(bounds), "; ".join(notes)


def _bounds(replay: _Replay, step: BoundsStep, number: int, thorough: bool) -> None:
    """The bounds that a cutoff rests on: this run's own, or (not ``thorough``) the stated ones."""
    own = list(step.bounds)
    if thorough:
        own = [
            _hour_bound(replay, t, part, step.multipliers, bound, step.relaxed, thorough)
            for t, (part, bound) in enumerate(zip(step.hours, step.bounds, strict=True))
        ]
    _above_the_judged(replay, step.multipliers, own)
    total = total_bound(replay.routes.instance, step.multipliers, own) if np.isfinite(own).all() else np.inf
    replay.totals[number] = (step.multipliers, own, total)


def _above_the_judged(replay: _Replay, multipliers: Multipliers, bounds: Sequence[float]) -> None:
    """No hour's bound lies below what the judged day earns there. Raises SolverFalse."""
    if not replay.judged:
        return
    false = false_bounds(replay.judged, multipliers, bounds, replay.routes.instance.period_h)
    if false:
        periods = ", ".join(str(replay.label(t)) for t in false)
        raise SolverFalse(
            f"a bound is FALSE: the judged point earns more than it in period {periods}; try another --solver"
        )


def _cutoff(replay: _Replay, step: CutoffStep) -> None:
    """l_t >= D_t - (UB - lower): with this run's D and UB, and a lower value that the judged point attains."""
    multipliers, bounds, total = replay.totals[step.bounds_step]
    if not step.lower <= replay.lower:
        raise Refuted(f"a cutoff at {step.lower!r} lies above the judged profit {replay.lower!r}")
    slack = total - step.lower
    if np.isfinite(slack):
        replay.cutoff = (multipliers, [b - slack - 1e-9 * (abs(b) + abs(slack) + 1.0) for b in bounds])


def _final(replay: _Replay, step: BoundsStep, say: Callable[[str], None], thorough: bool) -> RecheckOutcome:
    """Solve the hours again at the stated multipliers; only this sum is certified."""
    own = []
    for t, (part, bound) in enumerate(zip(step.hours, step.bounds, strict=True)):
        own.append(_hour_bound(replay, t, part, step.multipliers, bound, step.relaxed, thorough))
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
