"""Intervals of one hour by LPs over its relaxation: the least and the largest value of a quantity, safely bounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from formulations.congestion import RoadCost
from formulations.routes import RouteSet
from mpec.expression import Expression
from mpec.hour_dispatch import HourDispatch
from mpec.hour_solve import Cutoff, build_hour
from mpec.hour_state import HourBlock, HourState
from mpec.intervals import Intervals
from mpec.linear_model import LinearModel
from mpec.solvers.highs import HighsSession
from mpec.solvers.session import Transposed, dual_bound
from mpec.tolerances import BOUND_MARGIN, EPSILON

Array = np.ndarray

DULL = 0.03
"""An interval's end that an LP moved by less than this share of the width is left alone for a while."""


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
        matrix = model.matrix().T.tocsr()
        self.transposed = Transposed(matrix, abs(matrix), np.diff(matrix.indptr))
        self.rows = np.array(model.row_lower), np.array(model.row_upper)
        self.columns = np.array(model.lower), np.array(model.upper)
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
        sign = -1.0 if maximise else 1.0
        safe = dual_bound(sign * cost, sign * solved.row_duals, self.rows, self.columns, self.transposed)
        value = sign * safe + expression.constant
        return value, solved.x


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
