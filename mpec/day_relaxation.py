"""All hours in one model: the linear relaxation of the day, and the textbook monolithic MILP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from formulations.routes import RouteSet
from mpec.coupling import CouplingRows, Multipliers, couple, multipliers_from_duals
from mpec.expression import Expression
from mpec.hour_dispatch import HourDispatch
from mpec.hour_model import HourBuilder
from mpec.hour_solve import HourPoint, read_point, set_objective
from mpec.hour_state import HourBlock, HourState
from mpec.linear_model import LinearModel
from mpec.solvers import safe_bound
from mpec.solvers.highs import HighsSession

Array = np.ndarray


@dataclass
class DayModel:
    model: LinearModel
    blocks: list[HourBlock]
    rows: CouplingRows
    profit: Expression


@dataclass(frozen=True)
class DayAnswer:
    """The relaxed day: a safe upper bound, the coupling's multipliers and each hour's point."""

    bound: float
    multipliers: Multipliers
    points: list[HourPoint]
    seconds: float


def build_day(
    routes: RouteSet, states: list[HourState], dispatches: list[HourDispatch | None], *, name: str = "day"
) -> DayModel:
    """Every selected hour's rows and the coupling between them, maximising the day's profit."""
    model = LinearModel(name=name, maximise=True)
    blocks = [
        HourBuilder(model, routes, state, dispatch).build()
        for state, dispatch in zip(states, dispatches, strict=True)
    ]
    rows, profit = couple(model, blocks, routes.instance)
    set_objective(model, profit)
    return DayModel(model, blocks, rows, profit)


def relaxed_day(
    routes: RouteSet,
    states: list[HourState],
    dispatches: list[HourDispatch | None],
    basis: dict[str, int] | None = None,
    seconds: float = 300.0,
) -> DayAnswer | None:
    """The LP relaxation of the day; None when the solver finds it infeasible or gives no duals in time.

    ``basis`` is a memory: the last day's basis to begin from, replaced by this one's.
    """
    day = build_day(routes, states, dispatches)
    session = HighsSession(day.model)
    if basis:
        session.start_from(basis)
    else:
        session.prefer_interior_point()
    solved = session.solve(relax=True, time_limit=seconds)
    if solved.row_duals is None and not basis:
        # The interior point can get stuck where rows are nearly parallel; the simplex method doesn't.
        session = HighsSession(day.model)
        solved = session.solve(relax=True, time_limit=max(seconds - solved.seconds, 1.0))
    if basis is not None and solved.row_duals is not None:
        basis.clear()
        basis.update(session.basis_by_name())
    if solved.x is None or solved.row_duals is None:
        return None
    multipliers = multipliers_from_duals(routes.instance, day.rows, solved.row_duals)
    bound = safe_bound(day.model, solved.row_duals)
    points = [read_point(block, solved.x) for block in day.blocks]
    return DayAnswer(float(np.nan_to_num(bound, nan=np.inf)), multipliers, points, solved.seconds)
