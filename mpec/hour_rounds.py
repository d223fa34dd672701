"""MILPs of one hour with refinement: solve, refine where the point is wrong, cut at its prices, and again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from formulations.routes import RouteSet
from mpec.coupling import Multipliers
from mpec.electricity_cuts import true_bill
from mpec.followers.users import Users
from mpec.hour_dispatch import HourDispatch, first_load, hour_dispatch, worst_pairs
from mpec.hour_solve import (
    Cutoff,
    HourBound,
    HourPoint,
    build_hour,
    certified_bound,
    read_point,
    set_objective,
    solver_of,
    with_cuts,
)
from mpec.hour_state import HourState
from mpec.refinement import refine, worst_choices
from mpec.solvers.careful import solve_milp

WORTH = 0.1
"""What a breakpoint or a binary must mend, as a share of what is enough for the hour: each costs the MILP dearly."""


@dataclass
class Rounds:
    """MILP, refine where its point is wrong, cut at its prices, and again: one hour's work in progress."""

    routes: RouteSet
    dispatch: HourDispatch
    multipliers: Multipliers
    enough: float
    solver: str
    seed: int
    error: float
    point: HourPoint | None = None
    settled: bool = False

    def __post_init__(self) -> None:
        self.users, self.operator = Users(self.routes), solver_of(self.routes.instance)
        self.aim = max(self.enough, 3e-3 * max(self.error, 1.0))

    def solve(
        self, state: HourState, cutoffs: tuple[Cutoff, ...], size_of: float, limits: dict[str, Any]
    ) -> tuple[HourBound, HourState]:
        """One MILP; its bound, and the state refined at its point (as it was where there is none)."""
        routes = self.routes
        model, block = build_hour(routes, state, self.dispatch, cutoffs)
        set_objective(model, self.multipliers.lagrangian(block, routes.instance))
        # A solver that fails, loses its licence or contradicts itself costs this bound, not the run.
        run = solve_milp(
            model,
            self.solver,
            seed=self.seed,
            gap=max(self.aim / size_of, 1e-7),
            **limits,
        )
        solved = run.solved
        bound = certified_bound(model, solved, False)
        point = None if solved.x is None else read_point(block, solved.x)
        size = (model.rows, model.columns, sum(model.integer))
        outcome = HourBound(
            state.t, bound, solved.objective, point, solved.seconds, run.note or solved.status, size
        )
        self.settled = False
        if point is None or solved.x is None:
            return outcome, state
        self.point = point
        refined, error = refine(routes, state, point, least=WORTH * self.enough)
        refined, missed = worst_choices(block, refined, solved.x, least=WORTH * self.enough)
        error += missed
        pairs: list[str] = []
        if block.dispatch is not None:
            least = 1e-3 * max(self.enough, 1e-3)
            pairs = worst_pairs(block.dispatch, solved.x, state.dispatch_pairs, 12, least)
            refined = replace(refined, dispatch_pairs=state.dispatch_pairs | frozenset(pairs))
        refined = with_cuts(self.users, self.operator, refined, point)
        if self.operator is not None:
            short = true_bill(self.operator, state.t, point.load) - point.electricity
            error += max(short, 0.0)
            if short > self.enough and not state.exact_dispatch:
                # The bill jumps inside this hour's loads: only the operator's own conditions can hold it.
                if not self.dispatch.scenarios:
                    self.dispatch = hour_dispatch(routes.instance, state.t, first_load(routes.instance))
                refined = replace(refined, exact_dispatch=True)
                pairs = ["exact"]
        self.error = error
        own = bound - (solved.objective if solved.objective is not None else -np.inf)
        self.settled = own <= self.enough and error <= self.enough and not pairs
        self.aim = max(0.3 * self.enough, 0.1 * error)
        return outcome, refined


def nominal_seconds(outcome: HourBound, limit: float) -> float:
    """Seconds that a MILP counts for where they are counted: by its binaries, all of its limit if that ended it."""
    return limit if outcome.status != "optimal" else min(limit, 0.05 * outcome.size[2])
