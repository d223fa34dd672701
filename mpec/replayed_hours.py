"""One hour of a bound's derivation, proven again: claims by this run's own LPs, bounds by its own LPs and MILPs.

An hour's proof needs nothing of the others' once its premises are there: it may run in any process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from mpec.linear_model import LinearModel
from mpec.second_opinions import Opinion, second_bound
from mpec.solvers import open_session
from mpec.tolerances import EPSILON

TOLERANCE = 1e-6
"""Relative amount by which a re-solved bound may lie above the stated one and still confirm it."""

FINISH_SECONDS = 120.0


class Refuted(Exception):
    """A part of the record is false; the message says which."""


@dataclass(frozen=True)
class Premises:
    """What an hour's proof may use: the instance's routes, and what this run has proven so far.

    state       the hour's intervals as proven; its cuts are valid by themselves
    cutoffs     rows that every day worth at least the judged one obeys, by bounds of this run
    thorough    prove every claim; else they are taken as they stand (a record that this process made itself)
    """

    routes: RouteSet
    state: HourState
    dispatch: HourDispatch
    cutoffs: tuple[Cutoff, ...]
    solver: str
    deadline: float
    thorough: bool


@dataclass(frozen=True)
class Stated:
    """What a record says of an hour at these multipliers: a bound, and how it was reached (``relaxed``: by its LP).

    ``shown``: what was found for as many first rounds of the partition's local claims, all confirmed, at these
    multipliers and no higher level. It holds here: the points that it speaks of include the ones meant now.
    """

    partition: Partition
    multipliers: Multipliers
    bound: float
    relaxed: bool
    shown: tuple[Claims, ...] = ()

    @property
    def near(self) -> float:
        """What confirms the bound: nothing smaller need be proven."""
        return self.bound + 0.5 * TOLERANCE * (1.0 + abs(self.bound))

    @property
    def work(self) -> int:
        """Claims that are still to be proven: what the proof costs."""
        local = self.partition.local
        return 0 if local is None else sum(len(c.intervals) for c in local.rounds[len(self.shown) :])


@dataclass(frozen=True)
class Found:
    """This run's bound of an hour (``opinion``), and the first local rounds as they are now shown."""

    opinion: Opinion
    shown: tuple[Claims, ...] = ()


def claimed(premises: Premises, rows: tuple[Cutoff, ...], claims: Claims) -> tuple[HourState, bool]:
    """The state with the claims that LPs over its relaxation, with the cutoffs ``rows``, confirm; whether all were.

    Where an LP shows less than is claimed, what it shows is taken.
    """
    state = premises.state
    box, confirmed = state.box.copy(), True
    frozen: FrozenRelaxation | None = None
    block: Any = None
    if premises.thorough:
        model, block = build_hour(premises.routes, plain(state), premises.dispatch, rows)
        frozen = FrozenRelaxation(model)
    for quantity, index, low, high in claims.intervals:
        old_low, old_high = float(state.box.low[quantity][index]), float(state.box.high[quantity][index])
        if frozen is not None:
            expression = _quantity(block, quantity, index)
            if expression is None:
                confirmed = False
                continue
            # A hair decides whether a claim counts as confirmed; what is taken is never more than the LP shows.
            if low > old_low:
                own = _least(frozen, expression)
                low, confirmed = min(low, own), confirmed and own >= low - _hair(low)
            if high < old_high:
                own = _most(frozen, expression)
                high, confirmed = max(high, own), confirmed and own <= high + _hair(high)
        box.low[quantity][index] = max(old_low, low)
        box.high[quantity][index] = min(old_high, high)
    few = 2 * EPSILON * float(np.max(state.box.high["cheapest"], initial=0.0))
    for k in claims.dropped:
        if frozen is not None:
            # A route without a slack row is not in this hour's relaxation: nothing shows that it is too dear.
            expression = block.slack.get(k)
            if expression is None or _least(frozen, expression) <= few:
                confirmed = False
                continue
        box.usable[k] = False
        box.high["route_flow"][k] = 0.0
    return replace(state, box=box), confirmed


def _least(frozen: FrozenRelaxation, expression: Expression) -> float:
    """A proven lower end, -inf where the LP gives none (an "infeasible" is no proof: solvers were wrong there)."""
    value, _ = frozen.extreme(expression, maximise=False)
    return -np.inf if frozen.infeasible or np.isnan(value) else value


def _most(frozen: FrozenRelaxation, expression: Expression) -> float:
    value, _ = frozen.extreme(expression, maximise=True)
    return np.inf if frozen.infeasible or np.isnan(value) else value


def _hair(value: float) -> float:
    return 1e-8 * (1.0 + abs(value))


def _taken(state: HourState, claims: Claims) -> Claims:
    """The claims with the ends that were found, which may be a hair wider than what is claimed."""
    box = state.box
    ends = (
        (quantity, index, float(box.low[quantity][index]), float(box.high[quantity][index]))
        for quantity, index, _, _ in claims.intervals
    )
    return replace(claims, intervals=tuple(ends))


def _quantity(block: Any, quantity: str, index: int) -> Expression | None:
    if quantity == "slack":
        found = block.slack.get(index)
        return None if found is None else found
    column = int(getattr(block, quantity)[index])
    return None if column < 0 else Expression().add(column)


def hour_bound(premises: Premises, stated: Stated) -> Found:
    """This run's bound of one hour; it may stop as soon as the stated one is confirmed."""
    routes, local = premises.routes, stated.partition.local
    premises = replace(premises, state=stated.partition.of(premises.state))
    if local is not None:
        return _local_bound(premises, stated, local)
    model, block = build_hour(routes, premises.state, premises.dispatch, premises.cutoffs)
    set_objective(model, stated.multipliers.lagrangian(block, routes.instance))
    if stated.relaxed:
        solved = open_session(model, "highs").solve(relax=True, time_limit=FINISH_SECONDS)
        bound = certified_bound(model, solved, True)
        # What the duals prove needs no trust in the solver: the sum is repeated without rounding.
        if solved.row_duals is not None:
            bound = max(bound, exact_dual_bound(model, solved.row_duals.tolist()))
        return Found(Opinion(bound))
    return Found(_second(premises, model, stated))


def _local_bound(premises: Premises, stated: Stated, local: Local) -> Found:
    """max(level, the bound over what earns the level): its intervals are claimed round by round, each proven again.

    The LP comes first: its bound, or its proof that nothing is left, needs no trust. A MILP without a point proves
    nothing here.
    """
    rows = (*premises.cutoffs, Cutoff(stated.multipliers, local.level))
    found_rounds: list[Claims] = []
    unbroken = premises.thorough
    for number, claims in enumerate(local.rounds):
        again = number < len(stated.shown)
        known = replace(premises, thorough=premises.thorough and not again)
        state, confirmed = claimed(known, rows, stated.shown[number] if again else claims)
        premises = replace(premises, state=propagated(premises.routes, state))
        unbroken = unbroken and confirmed
        if unbroken:
            found_rounds.append(_taken(state, claims))
    model, block = build_hour(premises.routes, premises.state, premises.dispatch, premises.cutoffs)
    set_objective(model, stated.multipliers.lagrangian(block, premises.routes.instance))
    opinion = Opinion(relaxed_bound(model))
    if max(opinion.bound, local.level) > stated.near:
        found = _second(premises, model, stated)
        if -np.inf < found.bound < opinion.bound:
            opinion = found
    return Found(replace(opinion, bound=max(opinion.bound, local.level)), tuple(found_rounds))


def _second(premises: Premises, model: LinearModel, stated: Stated) -> Opinion:
    """The MILP's bound; what is said of it names the period."""
    opinion = second_bound(model, premises.solver, stated.near, premises.deadline, seconds=FINISH_SECONDS)
    period = premises.routes.instance.periods[premises.state.t].id
    return replace(opinion, note=f"period {period}: {opinion.note}") if opinion.note else opinion
