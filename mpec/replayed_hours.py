"""One hour of a bound's derivation, proven again: claims by this run's own LPs, bounds by its own LPs and MILPs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from formulations.routes import RouteSet
from mpec.bound_reading import Partition
from mpec.claims import Claims, Local
from mpec.coupling import Multipliers
from mpec.exact_sums import exact_dual_bound
from mpec.expression import Expression
from mpec.hour_dispatch import HourDispatch
from mpec.hour_solve import Cutoff, build_hour, certified_bound, relaxed_bound, set_objective
from mpec.hour_state import HourState
from mpec.hour_tightening import FrozenRelaxation, plain
from mpec.intervals import propagated
from mpec.judged_hours import JudgedHour, excluded
from mpec.linear_model import LinearModel
from mpec.model_health import findings
from mpec.solvers import open_session
from mpec.solvers.careful import solve_milp
from mpec.tolerances import EPSILON

TOLERANCE = 1e-6
"""Relative amount by which a re-solved bound may lie above the stated one and still confirm it."""

OTHER_SEED = 4711
FINISH_SECONDS = 120.0


class Refuted(Exception):
    """A part of the record is false; the message says which."""


@dataclass
class Replay:
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


def claimed(
    replay: Replay,
    state: HourState,
    rows: tuple[Cutoff, ...],
    claims: Claims,
    thorough: bool,
) -> HourState:
    """``state`` with the claims that LPs over its relaxation, with the cutoffs ``rows``, confirm."""
    box = state.box.copy()
    frozen: FrozenRelaxation | None = None
    block: Any = None
    if thorough:
        model, block = build_hour(replay.routes, plain(state), replay.dispatches[state.t], rows)
        frozen = FrozenRelaxation(model)
    for quantity, index, low, high in claims.intervals:
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
    for k in claims.dropped:
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


def hour_bound(
    replay: Replay,
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
    replay: Replay,
    state: HourState,
    local: Local,
    multipliers: Multipliers,
    stated: float,
    thorough: bool,
) -> float:
    """max(level, the bound over what earns the level): its intervals are claimed round by round, each proven again.

    The LP comes first: its bound, or its proof that nothing is left, needs no trust. A MILP without a point proves
    nothing here.
    """
    rows = (*replay.cutoffs(state.t), Cutoff(multipliers, local.level))
    for claims in local.rounds:
        state = propagated(replay.routes, claimed(replay, state, rows, claims, thorough))
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
