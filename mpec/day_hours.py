"""The hours of a sweep: their bounds at the day's multipliers, closed down to what their best equilibria earn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from formulations.prices import has_steps
from mpec.claims import Local
from mpec.effort import Effort
from mpec.hour_closing import Closing
from mpec.hour_solve import HourPoint
from mpec.hour_state import HourState
from mpec.hour_tasks import Sharpened, sharpen

if TYPE_CHECKING:
    from mpec.decomposition import Decomposition

MOST_PASSES = 8
"""Passes over the open hours at the same multipliers."""

COUNTED_SECONDS = 20.0
"""Nominal seconds for an hour where no time limit is given."""


def close_hours(run: Decomposition) -> None:
    """The hours' bounds at the multipliers, brought down to what their best equilibria earn; prices are searched
    near the points on the way. Hours that are near enough are left alone."""
    assert run.multipliers is not None
    passing = _Pass(run)
    for _ in range(MOST_PASSES):
        open_hours = [
            t for t in range(len(run.states)) if _open(run, t, float(passing.bounds[t])) > _enough(run)
        ]
        if not open_hours:
            break
        before = float(passing.bounds.sum())
        points: dict[int, HourPoint] = {}
        for t, outcome in _sharpened(run, open_hours, passing.closings):
            if outcome.outcome.point is not None:
                points[t] = outcome.outcome.point
            passing.keep(t, outcome)
            if passing.enough():
                return
        passing.take()
        if run.done():
            break
        _search_near(run, points)
        run.note("open hours")
        if run.done() or before - float(passing.bounds.sum()) < 0.02 * (run.upper - (run.lower or -np.inf)):
            break


class _Pass:
    """The best bound of every hour at the multipliers in force, their linear programs' to begin with."""

    def __init__(self, run: Decomposition) -> None:
        self.run = run
        # -inf is a program without a point, which the solver may only have said. With a grid of prices an LP's bound
        # tells little, and known equilibria may lie off the grid: no hour counts as closed before its MILP.
        trusted = np.isfinite(run.hour_bounds) & (not has_steps(run.instance))
        self.bounds = np.where(trusted, run.hour_bounds, np.inf)
        self.proven: list[HourState] = list(run.states)
        self.proofs: list[Local | None] = [None] * len(run.states)
        self.closings: dict[int, Closing] = {}
        self.told = time.perf_counter()

    def keep(self, t: int, sharpened: Sharpened) -> None:
        """What an hour's work gave: equilibria, where to go on, and its bound if it is smaller."""
        run, outcome = self.run, sharpened.outcome
        run.states[t], run.errors[t], run.dispatches[t] = sharpened.state, sharpened.error, sharpened.dispatch
        run.search.add_hours(sharpened.found)
        if sharpened.closing is not None:
            self.closings[t] = sharpened.closing
        if outcome.bound < self.bounds[t]:
            self.bounds[t], self.proven[t], self.proofs[t] = outcome.bound, sharpened.proven, sharpened.proof

    def take(self) -> None:
        """The sum of the bounds as they stand, as a bound on the day."""
        assert self.run.multipliers is not None
        self.run.take(self.bounds.tolist(), self.run.multipliers, False, list(self.proven), list(self.proofs))

    def enough(self) -> bool:
        """Whether the bounds so far reach the target already; told now and then on the way. Without a time limit
        hours count in passes only: in which order they come must not matter."""
        run = self.run
        if not np.isfinite(run.limits.left()) or run.lower is None or not np.isfinite(self.bounds).all():
            return False
        assert run.multipliers is not None
        total = float(self.bounds.sum()) + run.multipliers.constant(run.instance)
        reached = total - run.lower < (1.0 - 1e-6) * run.limits.gap * max(abs(total), 1.0)
        if reached or (total < run.upper and time.perf_counter() - self.told > TOLD_SECONDS):
            self.take()
            run.note("open hours")
            self.told = time.perf_counter()
        return run.done()


TOLD_SECONDS = 30.0
"""So often the hours that are done count before all are."""


def _enough(run: Decomposition) -> float:
    """An hour whose bound is that near to its best equilibrium is closed, money."""
    return 0.25 * run.limits.gap * max(abs(run.upper), 1.0) / len(run.states)


def _open(run: Decomposition, t: int, bound: float) -> float:
    known = run.search.known(t)
    return np.inf if known is None else bound - known


def _weights(run: Decomposition, hours: list[int]) -> np.ndarray:
    """How the seconds are shared between hours: by the root of what is open, 1 on average."""
    still = np.array([_open(run, t, float(run.hour_bounds[t])) for t in hours])
    if not np.isfinite(still).all():
        return np.ones(len(hours))
    roots = np.sqrt(np.maximum(still, 1e-9))
    return np.asarray(roots / roots.mean())


def _sharpened(
    run: Decomposition, hours: list[int], closings: dict[int, Closing]
) -> Iterator[tuple[int, Sharpened]]:
    """The hours as they are done, with their period indices."""
    began = time.perf_counter()
    assert run.multipliers is not None
    left = run.limits.left()
    counted = not np.isfinite(left)
    share = COUNTED_SECONDS if counted else 0.6 * left * run.tasks.workers / len(hours)
    # Each hour gets its share of what is left, within reason: more where more is open.
    weights = _weights(run, hours)
    efforts = [Effort(float(np.clip(share * weight, 2.0, 60.0)), counted) for weight in weights]
    arguments = [
        (
            run.routes,
            run.states[t],
            run.dispatches[t],
            run.multipliers,
            run.cutoffs(t),
            run.search.known(t),
            _enough(run),
            effort,
            run.solver,
            run.seed,
            float(run.errors[t]),
            closings.get(t),
            run.search.best_hour(t),
        )
        for t, effort in zip(hours, efforts, strict=True)
    ]
    done = run.tasks.each(sharpen, arguments)
    # In any order a clock allows; without one in the hours' own.
    found = sorted(done, key=lambda one: one[0]) if counted else done
    try:
        for i, outcome in found:
            yield hours[i], outcome
    finally:
        run.timed("hours", began)


def _search_near(run: Decomposition, points: dict[int, HourPoint]) -> None:
    """Equilibria near the relaxed points of some hours; the others keep the best day's prices."""
    if run.best is None and len(points) < len(run.states):
        return
    prices = np.zeros((len(run.instance.stations), len(run.states)))
    if run.best is not None:
        prices = run.best.prices.copy()
    for t, point in points.items():
        prices[:, t] = point.price
    run.polish_at(prices, sample=True, hours=sorted(points))
