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
from mpec.intervals import Intervals
from mpec.linear_model import LinearModel
from mpec.solvers import open_session
from mpec.solvers.highs import HighsSession
from mpec.solvers.session import Solved, proven_empty, safe_bound
from mpec.tolerances import BOUND_MARGIN, EPSILON
from mpec.value_cuts import Reference, complete_shares, shares_of

Array = np.ndarray


@dataclass(frozen=True)
class Cutoff:
    """Every day worth at least the incumbent has  lagrangian(multipliers) >= level  in this hour."""

    multipliers: Multipliers
    level: float


@dataclass(frozen=True)
class HourPoint:
    """A point of an hour's relaxation: what the master and the refinement need of it."""

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
        take(block.road_time),
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
    """The upper bound that a solve of a maximisation gives: -inf only if infeasible."""
    if relax and solved.row_duals is not None:
        return safe_bound(model, solved.row_duals)
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


def plain(state: HourState) -> HourState:
    """The state without partitions and binaries of pairs: what interval LPs are proven on."""
    return replace(
        state,
        road_points={},
        cheapest_points={},
        price_points={},
        dispatch_pairs=frozenset(),
        exact_dispatch=False,
        choices=frozenset(),
    )


class FrozenRelaxation:
    """The hour's LP relaxation kept in the solver, for many objectives; bounds are safe dual bounds."""

    def __init__(self, model: LinearModel) -> None:
        self.model = model
        model.cost = [0.0] * model.columns
        model.constant = 0.0
        self.session = HighsSession(model)
        # Only the objective changes, so the last vertex stays feasible: the primal simplex starts from it.
        self.session.prefer_primal_simplex()
        self.matrix = model.matrix().T.tocsr()
        self.rows = np.array(model.row_lower), np.array(model.row_upper)
        self.columns = np.array(model.lower), np.array(model.upper)
        self.last: list[int] = []
        self.solves = 0
        self.infeasible = False

    def extreme(self, expression: Expression, *, maximise: bool) -> tuple[float, Array | None]:
        """A safe bound on the max (min) of the expression over the LP, and the LP's point."""
        cost = expression.vector(self.model.columns)
        self.session.set_objective(cost, maximise=maximise, constant=0.0)
        solved = self.session.solve(relax=True, time_limit=60.0)
        self.solves += 1
        if solved.status == "infeasible":
            self.infeasible = True
            return (-np.inf if maximise else np.inf), None
        if solved.row_duals is None:
            return (np.inf if maximise else -np.inf), None
        value = self._safe(cost, solved.row_duals, maximise) + expression.constant
        return value, solved.x

    def _safe(self, cost: Array, duals: Array, maximise: bool) -> float:
        sign = -1.0 if maximise else 1.0
        c, y = sign * cost, sign * duals
        low, high = self.rows
        y = np.where((y > 0) & np.isneginf(low), 0.0, y)
        y = np.where((y < 0) & np.isposinf(high), 0.0, y)
        with np.errstate(invalid="ignore"):
            rows = np.where(y > 0, y * low, np.where(y < 0, y * high, 0.0))
            d = c - self.matrix @ y
            columns = np.where(d > 0, d * self.columns[0], np.where(d < 0, d * self.columns[1], 0.0))
        total = float(rows.sum() + columns.sum())
        size = float(np.abs(rows).sum() + np.abs(columns).sum())
        return sign * (total - 1e-14 * size)


DULL = 0.03
"""An interval's end that an LP moved by less than this share of the width is left alone for a while."""


def tighten_hour(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch | None,
    quantities: tuple[str, ...],
    cutoffs: tuple[Cutoff, ...] = (),
    least_money: float = 0.0,
    dull: set[tuple[str, int, bool]] | None = None,
) -> tuple[HourState, int, bool]:
    """Bounds by LPs over the hour's relaxation. Returns the new state, LPs solved, and infeasibility.

    A quantity whose interval is already reached by some LP's point on one side needs no LP there, nor
    does one whose relaxation can't err by ``least_money``. ``slack`` is only bounded from above, and
    from below to drop routes that are always too dear. ``dull``: ends (quantity, index, upper) that an LP hardly
    moved are noted there, and those that are there already get none.
    """
    model, block = build_hour(routes, plain(state), dispatch, cutoffs)
    frozen = FrozenRelaxation(model)
    box = state.box.copy()
    columns = {
        "price": block.price, "incoming": block.incoming, "residual": block.residual,
        "modified": block.modified, "cheapest": block.cheapest, "road_flow": block.road_flow,
        "route_flow": block.route_flow, "load": block.load,
    }  # fmt: skip
    seen: list[Array] = []
    dull = set() if dull is None else dull
    for quantity in quantities:
        if quantity == "slack":
            _tighten_slacks(frozen, block, box, seen, dull)
            continue
        worth = _stakes(routes, box, quantity)
        for index in np.flatnonzero(columns[quantity] >= 0):
            column = int(columns[quantity][index])
            low, high = float(box.low[quantity][index]), float(box.high[quantity][index])
            width = high - low
            if width <= 1e-4 * max(abs(high), abs(low), 1e-3) or worth[index] < least_money:
                continue
            values = [x[column] for x in seen]
            for maximise in (True, False):
                edge = high if maximise else low
                if (quantity, int(index), maximise) in dull:
                    continue
                if values and abs((max(values) if maximise else min(values)) - edge) <= 0.03 * width:
                    continue
                value, x = frozen.extreme(Expression().add(column), maximise=maximise)
                if frozen.infeasible:
                    return state, frozen.solves, True
                if x is not None:
                    seen.append(x)
                if abs(value - edge) <= DULL * width:
                    dull.add((quantity, int(index), maximise))
                if maximise:
                    box.meet(quantity, int(index), -np.inf, value)
                else:
                    box.meet(quantity, int(index), value, np.inf)
    return replace(state, box=box), frozen.solves, frozen.infeasible


def _stakes(routes: RouteSet, box: Intervals, quantity: str) -> Array:
    """How wrong a relaxation over each interval can be, money per hour (inf where that isn't known).

    Roads: kappa x times the largest distance of chord and curve; cheapest cost: a quarter of the box's area.
    """
    if quantity == "road_flow":
        instance = routes.instance
        low, high = box.low["road_flow"], box.high["road_flow"]
        cost = RoadCost.of(instance)
        middle = 0.5 * (low + high)
        chord = 0.5 * (cost.time(low) + cost.time(high)) - cost.time(middle)
        return np.asarray(instance.users.kappa_per_h * high * chord)
    if quantity == "cheapest":
        return np.asarray(0.25 * box.width("cheapest") * box.width("modified"))
    return np.full(len(box.low[quantity]), np.inf)


def _tighten_slacks(
    frozen: FrozenRelaxation,
    block: HourBlock,
    box: Intervals,
    seen: list[Array],
    dull: set[tuple[str, int, bool]],
) -> None:
    """Ms of the routes, and routes that are dearer than the cheapest in every point of the relaxation."""
    few = 2 * EPSILON * float(np.max(box.high["cheapest"], initial=0.0))
    for k, expression in block.slack.items():
        if k not in block.open_pairs:
            continue
        values = [expression.value(x) for x in seen]
        if ("slack", k, False) not in dull and (not values or min(values) > few):
            low, x = frozen.extreme(expression, maximise=False)
            if frozen.infeasible:
                return
            if x is not None:
                seen.append(x)
            if low > few:
                box.usable[k] = False
                box.high["route_flow"][k] = 0.0
                continue
            dull.add(("slack", k, False))
        before = float(box.high["slack"][k])
        if ("slack", k, True) in dull or (values and max(values) > 0.8 * before):
            continue
        high, x = frozen.extreme(expression, maximise=True)
        if x is not None:
            seen.append(x)
        if high >= (1 - 5 * DULL) * before:
            dull.add(("slack", k, True))
        box.high["slack"][k] = min(
            float(box.high["slack"][k]), max(high, 0.0) * (1 + BOUND_MARGIN) + BOUND_MARGIN
        )


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
    """The state with a value-function cut at the point's prices and a tangent of V at its loads."""
    return with_reference(solver, state, reference_at(users, point).shares, np.nan_to_num(point.load))


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
