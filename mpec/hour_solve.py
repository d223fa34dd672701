"""One hour's problems, as tasks that can run in any process: bound it, tighten it, cut it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from formulations.congestion import RoadCost
from formulations.routes import RouteSet
from instances.model import Instance
from mpec.coupling import Multipliers
from mpec.electricity_cuts import bill_cut, idle_cost
from mpec.exact_sums import exact_dual_bound
from mpec.expression import Expression, add_row
from mpec.followers.dispatch import DispatchSolver
from mpec.followers.users import Users
from mpec.hour_dispatch import HourDispatch
from mpec.hour_model import HourBuilder
from mpec.hour_state import HourBlock, HourState
from mpec.linear_model import LinearModel
from mpec.solvers import open_session
from mpec.solvers.highs import HighsSession
from mpec.solvers.session import Solved, proven_empty, safe_bound
from mpec.tolerances import BOUND_MARGIN
from mpec.value_cuts import Reference, complete_shares, shares_of

Array = np.ndarray


@dataclass(frozen=True)
class Cutoff:
    """Every day worth at least the incumbent has  lagrangian(multipliers) >= level  in this hour."""

    multipliers: Multipliers
    level: float


@dataclass(frozen=True)
class HourPoint:
    """A point of an hour's relaxation: what the day's search and the refinement need of it."""

    t: int
    base: float
    price: Array
    incoming: Array
    residual: Array
    modified: Array
    cheapest: Array
    bill: Array
    load: Array
    income: Array
    road_flow: Array
    road_time: Array
    road_hours: Array
    route_flow: Array
    electricity: float


@dataclass(frozen=True)
class HourBound:
    """The outcome of one hour at given multipliers: a dual bound, and the best point found."""

    t: int
    bound: float
    value: float | None
    point: HourPoint | None
    seconds: float
    status: str
    size: tuple[int, int, int]


def build_hour(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch | None,
    cutoffs: tuple[Cutoff, ...] = (),
) -> tuple[LinearModel, HourBlock]:
    """The hour's relaxation as a model of its own, with the cutoff rows of the day."""
    model = LinearModel(name=f"hour {routes.instance.periods[state.t].id}", maximise=True)
    block = HourBuilder(model, routes, state, dispatch).build()
    for i, cutoff in enumerate(cutoffs):
        row = cutoff.multipliers.lagrangian(block, routes.instance)
        add_row(model, f"cutoff[{i}]", row, lower=cutoff.level)
    return model, block


def set_objective(model: LinearModel, expression: Expression) -> None:
    model.cost = expression.vector(model.columns).tolist()
    model.constant = expression.constant


def read_point(block: HourBlock, x: Array) -> HourPoint:
    def take(columns: Array) -> Array:
        return np.where(columns >= 0, x[columns], np.nan)

    return HourPoint(
        block.t,
        block.profit.value(x),
        take(block.price),
        take(block.incoming),
        take(block.residual),
        take(block.modified),
        take(block.cheapest),
        take(block.bill),
        take(block.load),
        take(block.income),
        take(block.road_flow),
        block.least_time + block.time_unit * take(block.road_time),
        take(block.road_hours),
        np.where(block.route_flow >= 0, x[block.route_flow], 0.0),
        block.electricity.value(x),
    )


def bound_hour(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch | None,
    multipliers: Multipliers,
    cutoffs: tuple[Cutoff, ...] = (),
    *,
    relax: bool = False,
    gap: float = 1e-3,
    time_limit: float | None = None,
    solver: str = "highs",
    seed: int = 0,
) -> HourBound:
    """max of the hour's Lagrangian over its relaxation: the MILP's dual bound (or the LP's, safely)."""
    model, block = build_hour(routes, state, dispatch, cutoffs)
    set_objective(model, multipliers.lagrangian(block, routes.instance))
    session = open_session(model, solver, seed=seed)
    solved = session.solve(relax=relax, gap=gap, time_limit=time_limit)
    size = (model.rows, model.columns, sum(model.integer))
    bound = certified_bound(model, solved, relax)
    point = None if solved.x is None else read_point(block, solved.x)
    return HourBound(state.t, bound, solved.objective, point, solved.seconds, solved.status, size)


def certified_bound(model: LinearModel, solved: Solved, relax: bool) -> float:
    """The upper bound that a solve of a maximisation gives: -inf only if infeasible.

    A linear program's is always proven here, also that of a mixed-integer model which happens to have no integers.
    """
    if relax and solved.row_duals is not None:
        return safe_bound(model, solved.row_duals)
    if relax or not any(model.integer):
        return relaxed_bound(model)
    # A MILP's bound is the solver's claim; a relative margin covers its own arithmetic.
    return (
        solved.bound + BOUND_MARGIN * (1.0 + abs(solved.bound)) if np.isfinite(solved.bound) else solved.bound
    )


def relaxed_bound(model: LinearModel) -> float:
    """An upper bound by the LP relaxation that needs no trust in the solver: from its duals; -inf only where its ray
    proves the relaxation empty; +inf where it shows nothing."""
    session = HighsSession(model)
    solved = session.solve(relax=True, time_limit=60.0)
    if solved.row_duals is not None:
        exact = exact_dual_bound(model, solved.row_duals.tolist())
        return max(safe_bound(model, solved.row_duals), exact)
    if solved.status == "infeasible":
        ray = session.infeasibility_ray()
        if ray is not None and proven_empty(model, ray):
            return -np.inf
    return np.inf


def cut_hour(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch | None,
    multipliers: Multipliers,
    *,
    rounds: int = 12,
    enough: float = 3e-4,
    cutoffs: tuple[Cutoff, ...] = (),
) -> tuple[HourState, list[float]]:
    """Value-function cuts by LPs and exact equilibria: solve the LP, answer its prices, cut, repeat.

    Ends when a round gains less than ``enough`` of the bound. Returns the state with its new references
    and the LP bounds on the way.
    """
    users = Users(routes)
    solver = solver_of(routes.instance)
    bounds: list[float] = []
    for _ in range(rounds):
        outcome = bound_hour(routes, state, dispatch, multipliers, cutoffs, relax=True)
        bounds.append(outcome.bound)
        if outcome.point is None:
            break
        if len(bounds) > 2 and bounds[-3] - bounds[-1] < 2 * enough * max(abs(bounds[-1]), 1.0):
            break
        state = with_cuts(users, solver, state, outcome.point)
    return state, bounds


def solver_of(instance: Instance) -> DispatchSolver | None:
    """The operator's solver where its price matters."""
    return DispatchSolver(instance) if instance.tariff_mode == "dlmp" else None


MOST_CUTS = 40


def with_bill_cuts(state: HourState, operator: DispatchSolver, loads: Sequence[Array]) -> HourState:
    """The state with the tangents of the operator's cost at ``loads`` (M,) each, in place of what it had."""
    cuts = tuple(bill_cut(operator, state.t, load) for load in loads)
    return replace(state, bill_cuts=cuts, idle_cost=idle_cost(operator, state.t))


def with_cuts(users: Users, solver: DispatchSolver | None, state: HourState, point: HourPoint) -> HourState:
    """The state with a value-function cut at the point's prices, tangents of V at its loads and of its roads."""
    state = with_tangents(users.routes.instance, state, point)
    return with_reference(solver, state, reference_at(users, point).shares, np.nan_to_num(point.load))


MOST_TANGENTS = 12
"""Tangents a road keeps beside those that it has anyway."""

SHORT = 3e-6
"""A road whose time and vehicle-hours are too small by more than this share of what all users pay gets a tangent: a
value-function cut is worth what the potential at the point is worth."""


def with_tangents(instance: Instance, state: HourState, point: HourPoint) -> HourState:
    """The state with tangents where the point's roads are faster than they can be."""
    kappa, flow = instance.users.kappa_per_h, np.nan_to_num(point.road_flow)
    true = RoadCost.of(instance).time(flow)
    missed = np.maximum(true - point.road_time, 0.0) * flow + np.maximum(true * flow - point.road_hours, 0.0)
    least = SHORT * float(np.abs(np.nan_to_num(point.bill)).sum())
    tangents = dict(state.tangents)
    for a in np.flatnonzero(kappa * np.nan_to_num(missed) > least):
        known, x = tangents.get(int(a), ()), float(flow[a])
        # None is ever dropped: a bound may rest on it, and the last ones are what is written down.
        if len(known) < MOST_TANGENTS and all(abs(x - p) > 1e-3 * max(x, 1.0) for p in known):
            tangents[int(a)] = (*known, x)
    return replace(state, tangents=tangents)


def with_reference(solver: DispatchSolver | None, state: HourState, shares: Array, load: Array) -> HourState:
    """The state with the cut of a reference flow, shares (R,), and the tangent of V at ``load`` (M,)."""
    bill = state.bill_cuts
    if solver is not None:
        bill = (*bill, bill_cut(solver, state.t, load))
    references = [*state.references, Reference(shares)]
    return replace(state, references=references[-MOST_CUTS:], bill_cuts=bill[-MOST_CUTS:])


def reference_at(users: Users, point: HourPoint) -> Reference:
    """The exact equilibrium at a point's prices and incoming residuals, as shares."""
    routes = users.routes
    incoming = np.nan_to_num(point.incoming)
    flows, _ = users.solve(point.t, point.price[None], incoming[None])
    shares = shares_of(routes.pair, flows[0], len(routes.instance.pairs))
    return Reference(complete_shares(routes, shares, users.pack(flows[0], point.price, 0.0, False).cost))
