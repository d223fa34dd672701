"""Closing an hour: intervals and MILPs where the hour earns at least what is known to be possible.

For any level v the hour's maximum is at most  max(v, max {l : l >= v}): only points that earn v matter. LPs over the
relaxation with the row  l >= v  shrink the intervals round after round, until the relaxation itself is as low as v,
or provably empty. Best is the value of a known equilibrium; where that is far below the bound, a level between both
comes first: what is left above it is small. This proves a bound of the hour at its multipliers and nothing else: the
shrunk intervals hold for no other hour, no other multipliers and no other day.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from formulations.routes import RouteSet
from mpec.claims import Claims, Local, claims_between
from mpec.coupling import Multipliers
from mpec.hour_dispatch import HourDispatch
from mpec.hour_solve import Cutoff, build_hour, relaxed_bound, set_objective
from mpec.hour_state import HourState
from mpec.hour_tightening import tighten_hour
from mpec.intervals import propagated

Array = np.ndarray

QUICK = (("road_flow",), ("slack",))
"""What matters most: road flows bend the road times, then slacks drop routes. The others follow by propagation. With
the model written anew in between, the same LPs give twice as much."""

ALL = (("load", "price", "residual", "modified", "cheapest"), *QUICK)
"""Every third time."""

HAIR = 1e-6
"""A level lies below the value of a known equilibrium by this much, relative to 1 or the value."""


@dataclass
class Closing:
    """An hour being closed down to ``known``, what an equilibrium of it earns.

    ``bound`` is the smallest met so far; ``proven`` and ``proof`` say how. ``base`` and ``base_rounds`` hold for all
    points that earn ``known``, ``local`` and ``rounds`` for those that earn ``level`` >= known.
    """

    routes: RouteSet
    dispatch: HourDispatch
    multipliers: Multipliers
    cutoffs: tuple[Cutoff, ...]
    known: float
    base: HourState
    bound: float
    proven: HourState
    proof: Local | None = None
    base_rounds: tuple[Claims, ...] = ()
    share: float = 1.0
    times: int = 0
    solved: int = 0
    dull: set[tuple[str, int, bool]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.floor = self.known - HAIR * max(1.0, abs(self.known))
        self.begin()

    @property
    def open(self) -> float:
        """How far the bound is above what is known to be possible, money."""
        return self.bound - self.known

    def begin(self) -> None:
        """A new level: ``share`` of the way from the bound down to what is known."""
        self.level = self.floor if self.share >= 1.0 else self.bound - self.share * (self.bound - self.floor)
        self.local, self.rounds = self.base, self.base_rounds
        self.dull.clear()

    def width(self) -> float:
        """How wide the roads' and the users' intervals are altogether: what the relaxation errs by comes from there."""
        box = self.local.box
        roads = float(box.width("road_flow").sum()) / max(float(box.high["road_flow"].max(initial=0.0)), 1.0)
        return roads + float(box.usable.sum()) / max(len(box.usable), 1)

    def shrink(self) -> bool:
        """One round of interval LPs above the level, and the LP's bound after it. False if the solver gave up."""
        rows = (*self.cutoffs, Cutoff(self.multipliers, self.level))
        self.times += 1
        infeasible = False
        for quantities in ALL if self.times % 3 == 0 else QUICK:
            new, solves, infeasible = tighten_hour(
                self.routes, self.local, self.dispatch, quantities, rows, 0.0, self.dull
            )
            self.solved += solves
            if infeasible:
                break
            self.rounds = (*self.rounds, claims_between(self.local, new))
            self.local = propagated(self.routes, new)
        if self.level <= self.floor:
            self.base, self.base_rounds = self.local, self.rounds
        model, block = build_hour(
            self.routes, self.local, self.dispatch, rows if infeasible else self.cutoffs
        )
        set_objective(model, self.multipliers.lagrangian(block, self.routes.instance))
        self.take(relaxed_bound(model))
        return not infeasible

    def refined(self, state: HourState, dispatch: HourDispatch) -> None:
        """Take over cuts, partitions and binaries of ``state``, the local one after a MILP; intervals stay."""
        self.local, self.dispatch = state, dispatch
        self.base = replace(state, box=self.base.box)

    def take(self, bound: float) -> None:
        """A bound on what the points above the level earn, found in the local state; -inf: there are none."""
        bound = max(bound, self.level)
        if bound < self.bound:
            self.bound, self.proven = bound, self.local
            self.proof = Local(self.level, self.rounds)

    @property
    def reached(self) -> bool:
        """Whether no point above the level is left."""
        return self.bound <= self.level
