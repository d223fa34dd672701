"""A decomposed bound's derivation, replayed: every step is proven again or not taken over.

Every interval claim is taken over only if an LP of this run confirms it; every cutoff only if this run's bounds carry
it, and only where something needs it; the hours' final bounds are solved again (other seed, other solver on request).
A judged day lies in every interval and below every bound: what it contradicts is false, whoever says it. The sum is
exact rational arithmetic. Hours whose premises are there are proven side by side, in any process, to the same digits.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from mpec.complementarity import Bound
from mpec.coupling import Multipliers, mean_caps
from mpec.equilibrium import Equilibrium
from mpec.exact_sums import exact, products, upwards
from mpec.executors import Tasks
from mpec.followers.dispatch import DispatchSolver
from mpec.hour_dispatch import HourDispatch, first_load, hour_dispatch
from mpec.hour_solve import with_bill_cuts
from mpec.hour_state import HourState, first_states
from mpec.intervals import propagated
from mpec.judged_hours import false_bounds, judged_hours
from mpec.replay_state import Replay, same_multipliers
from mpec.replayed_hours import (
    TOLERANCE,
    Refuted,
    Stated,
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
    tasks: Tasks,
) -> RecheckOutcome:
    """Replay the record of a decomposed run; ``tasks`` prove the hours. Raises RecordError, Refuted, SolverMissing."""
    derivation = read_derivation(record, routes)
    # Any step that counts may rest on the operator's conditions: whoever reads them needs his programs, and their Ms.
    used = [step for step in derivation.steps[: derivation.best + 1] if isinstance(step, BoundsStep)]
    dispatches = [
        hour_dispatch(
            routes.instance, t, first_load(routes.instance), any(s.hours[t].exact_dispatch for s in used)
        )
        for t in range(len(routes.instance.periods))
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
        tasks,
        thorough,
        say,
    )
    try:
        outcome = _steps(replay, derivation)
    except SolverFalse as reason:
        outcome = RecheckOutcome("undecided", details=str(reason))
    return replace(outcome, assumed=assumed_ms(dispatches), exact_ms=exact_ms(dispatches))


def _operator_ms(dispatches: Sequence[HourDispatch]) -> list[Bound]:
    both = ((*p.slack_bounds, *p.multiplier_bounds) for d in dispatches for p in d.scenarios)
    return [m for bounds in both for m in bounds if m is not None]


def assumed_ms(dispatches: Sequence[HourDispatch]) -> tuple[str, ...]:
    """Sources of the operator's Ms that rest on somebody's word, or on sums that only floating point stands behind."""
    ms = _operator_ms(dispatches)
    return (
        *(m.source for m in ms if not m.proven),
        *(f"{m.source} (not free of rounding errors)" for m in ms if m.proven and not m.exact),
    )


def exact_ms(dispatches: Sequence[HourDispatch]) -> int:
    """How many of the operator's Ms this run derived without any rounding error, or rounded outwards."""
    return sum(m.exact for m in _operator_ms(dispatches))


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


def _steps(replay: Replay, derivation: Derivation) -> RecheckOutcome:
    best = derivation.best
    # Stated bounds cost nothing: only what has to be proven is put off.
    idle = idle_cutoffs(derivation) if replay.thorough else frozenset()
    carrying = {
        s.bounds_step
        for number, s in enumerate(derivation.steps[:best])
        if isinstance(s, CutoffStep) and number not in idle
    }
    for number, step in enumerate(derivation.steps[: best + 1]):
        if time.perf_counter() > replay.deadline:
            return RecheckOutcome("undecided", details=f"time ran out at step {number + 1} of {best + 1}")
        if isinstance(step, InheritStep):
            _inherit(replay, step.hour)
        elif isinstance(step, ClaimsStep):
            _claims(replay, step)
        elif isinstance(step, CutoffStep):
            if number in idle:
                _put_off(replay, derivation, number, step)
            else:
                _cutoff(replay, step)
                replay.waiting.clear()
        elif number == best:
            return _final(replay, derivation, step)
        elif number in carrying:
            _bounds(replay, derivation, number, step)
    raise Refuted("the record ends before its bound")


def idle_cutoffs(derivation: Derivation) -> frozenset[int]:
    """Cutoff steps that hardly anything can need: no claims follow before the next one, only bounds at the very
    multipliers that the cutoff's own bounds have, where its row says that the maximum is not below something smaller.

    They are proven only if a bound isn't confirmed without them. What isn't proven is never used.
    """
    steps, best = derivation.steps, derivation.best
    idle = []
    for number, step in enumerate(steps[:best]):
        if not isinstance(step, CutoffStep):
            continue
        own = steps[step.bounds_step]
        assert isinstance(own, BoundsStep)
        after = itertools.takewhile(lambda s: not isinstance(s, CutoffStep), steps[number + 1 : best + 1])
        if all(isinstance(s, BoundsStep) and same_multipliers(s.multipliers, own.multipliers) for s in after):
            idle.append(number)
    return frozenset(idle)


def _put_off(replay: Replay, derivation: Derivation, number: int, step: CutoffStep) -> None:
    """What can be seen to be false without a proof is refuted now."""
    own = derivation.steps[step.bounds_step]
    assert isinstance(own, BoundsStep)
    total_bound(replay.routes.instance, own.multipliers, own.bounds)
    _attained(replay, step)
    replay.waiting.append(number)


def _inherit(replay: Replay, t: int) -> None:
    before, box = replay.states[t - 1].box, replay.states[t].box.copy()
    for n in range(len(replay.routes.instance.pairs)):
        box.meet("incoming", n, float(before.low["residual"][n]), float(before.high["residual"][n]))
    replay.states[t] = propagated(replay.routes, replace(replay.states[t], box=box))
    replay.look(t)


def _claims(replay: Replay, step: ClaimsStep) -> None:
    """Take a claim over if an LP over what is proven so far confirms it; else this run's own, weaker value."""
    premises = replay.premises(step.hour)
    replay.states[step.hour], _ = claimed(premises, premises.cutoffs, step.claims)
    replay.look(step.hour)


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


def _bounds(replay: Replay, derivation: Derivation, number: int, step: BoundsStep) -> None:
    """The bounds that a cutoff rests on: this run's own, or (not thorough) the stated ones."""
    own = _proven(replay, derivation, step) if replay.thorough else list(step.bounds)
    _above_the_judged(replay, step.multipliers, own)
    total = total_bound(replay.routes.instance, step.multipliers, own) if np.isfinite(own).all() else np.inf
    replay.totals[number] = (step.multipliers, own, total)


def _proven(replay: Replay, derivation: Derivation, step: BoundsStep) -> list[float]:
    """This run's bounds of all hours. If one isn't confirmed, the cutoffs that were put off are proven, in order, and
    it is tried again."""
    own = _solved(replay, step, range(len(step.bounds)), {})
    while replay.waiting and (open_hours := _open_hours(replay, step, own)):
        cutoff = derivation.steps[replay.waiting.pop(0)]
        assert isinstance(cutoff, CutoffStep)
        if cutoff.bounds_step not in replay.totals:
            carrier = derivation.steps[cutoff.bounds_step]
            assert isinstance(carrier, BoundsStep)
            later, replay.waiting = replay.waiting, []
            _bounds(replay, derivation, cutoff.bounds_step, carrier)
            replay.waiting = later
        _cutoff(replay, cutoff)
        if not replay.waiting:
            own = _solved(replay, step, open_hours, own)
    return [own[t] for t in range(len(step.bounds))]


def _open_hours(replay: Replay, step: BoundsStep, own: Mapping[int, float]) -> list[int]:
    """Hours whose bounds are not confirmed; none where the day's is."""
    found, instance = [own[t] for t in range(len(step.bounds))], replay.routes.instance
    if np.isfinite(found).all():
        stated = total_bound(instance, step.multipliers, step.bounds)
        if total_bound(instance, step.multipliers, found) <= stated + TOLERANCE * (1.0 + abs(stated)):
            return []
    return _unconfirmed(step, own)


def _unconfirmed(step: BoundsStep, own: Mapping[int, float]) -> list[int]:
    return [t for t, b in enumerate(step.bounds) if not own[t] <= b + TOLERANCE * (1.0 + abs(b))]


def _solved(
    replay: Replay, step: BoundsStep, hours: Iterable[int], before: Mapping[int, float]
) -> dict[int, float]:
    """Bounds of ``hours`` by the workers, the longest proofs first; the others as ``before``, never a worse one."""
    asked = []
    for t in hours:
        part = step.hours[t]
        shown = replay.known_rounds(t, step.multipliers, part.local)
        asked.append((t, Stated(part, step.multipliers, step.bounds[t], step.relaxed, shown)))
    asked.sort(key=lambda one: -one[1].work)
    own = dict(before)
    arguments = [(replay.premises(t), stated) for t, stated in asked]
    for i, found in replay.tasks.each(hour_bound, arguments):
        t, stated = asked[i]
        opinion = found.opinion
        own[t] = min(opinion.bound, before.get(t, np.inf))
        if stated.partition.local is not None and found.shown:
            rounds = stated.partition.local.rounds[: len(found.shown)]
            proof = replace(stated.partition.local, rounds=rounds)
            replay.shown.setdefault(t, []).append((step.multipliers, proof, found.shown))
        if opinion.note:
            replay.notes[t] = opinion.note
        if opinion.word_of:
            replay.words[t] = opinion.word_of
        replay.say(
            f"recheck: hour {t + 1} of {len(step.bounds)}, stated {stated.bound:.6g}, found {opinion.bound:.6g}"
        )
    return own


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


def _attained(replay: Replay, step: CutoffStep) -> None:
    """Raises Refuted for a cutoff that the judged point itself does not reach."""
    if not step.lower <= replay.lower:
        raise Refuted(f"a cutoff at {step.lower!r} lies above the judged profit {replay.lower!r}")


def _cutoff(replay: Replay, step: CutoffStep) -> None:
    """l_t >= D_t - (UB - lower): with this run's D and UB, and a lower value that the judged point attains."""
    multipliers, bounds, total = replay.totals[step.bounds_step]
    _attained(replay, step)
    slack = total - step.lower
    if np.isfinite(slack):
        replay.cutoff = (multipliers, [b - slack - 1e-9 * (abs(b) + abs(slack) + 1.0) for b in bounds])


def _final(replay: Replay, derivation: Derivation, step: BoundsStep) -> RecheckOutcome:
    """Solve the hours again at the stated multipliers; only this sum is certified."""
    own = _proven(replay, derivation, step)
    _above_the_judged(replay, step.multipliers, own)
    if not np.isfinite(own).all():
        return RecheckOutcome("undecided", details="an hour's bound was not found in time")
    # Under a cutoff the hours speak of days worth at least that only; the judged day is one of them.
    total = max(total_bound(replay.routes.instance, step.multipliers, own), replay.lower)
    stated = max(total_bound(replay.routes.instance, step.multipliers, step.bounds), replay.lower)
    if total > stated + TOLERANCE * (1.0 + abs(stated)):
        periods = ", ".join(str(replay.label(t)) for t in _unconfirmed(step, dict(enumerate(own))))
        return RecheckOutcome(
            "undecided",
            total,
            f"the bound found again is {total!r}, above the stated {stated!r} (periods {periods})",
        )
    notes = [replay.notes[t] for t in sorted(replay.notes)]
    words = tuple(f"period {replay.label(t)} ({replay.words[t]})" for t in sorted(replay.words))
    return RecheckOutcome("confirmed", total, "; ".join(notes[:3]), on_word=words, extra={"hours": own})
