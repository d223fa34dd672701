"""The hours of a sweep: their bounds at the day's multipliers, closed down to what their best equilibria earn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

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
    count = len(run.states)
    bounds = np.full(count, np.inf)
    proven: list[HourState] = list(run.states)
    proofs: list[Local | None] = [None] * count
    closings: dict[int, Closing] = {}
    for _ in range(MOST_PASSES):
        open_hours = [t for t in range(count) if _open(run, t, float(bounds[t])) > _enough(run)]
        if not open_hours:
            break
        before = float(bounds.sum())
        points: dict[int, HourPoint] = {}
        for outcome in _sharpened(run, open_hours, closings):
            t = outcome.outcome.t
            run.search.add_hours(outcome.found)
            if outcome.closing is not None:
                closings[t] = outcome.closing
            if outcome.outcome.bound < bounds[t]:
                bounds[t], proven[t], proofs[t] = outcome.outcome.bound, outcome.proven, outcome.proof
            if outcome.outcome.point is not None:
                points[t] = outcome.outcome.point
        run.take(bounds.tolist(), run.multipliers, False, proven, proofs)
        if run.done():
            break
        _search_near(run, points)
        run.note("open hours")
        if run.done() or before - float(bounds.sum()) < 0.02 * (run.upper - (run.lower or -np.inf)):
            break


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


def _sharpened(run: Decomposition, hours: list[int], closings: dict[int, Closing]) -> list[Sharpened]:
    began = time.perf_counter()
    assert run.multipliers is not None
    left = run.limits.left()
    counted = not np.isfinite(left)
    share = COUNTED_SECONDS if counted else 0.6 * left * run.tasks.workers / len(hours)
    # Each hour gets its share of what is left, within reason: more where more is open.
    weights = _weights(run, hours)
    efforts = [Effort(float(np.clip(share * weight, 2.0, 60.0)), counted) for weight in weights]
    outcomes: list[Sharpened] = run.tasks.map(
        sharpen,
        [
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
        ],
    )
    for t, outcome in zip(hours, outcomes, strict=True):
        run.states[t], run.errors[t] = outcome.state, outcome.error
        run.dispatches[t] = outcome.dispatch
    run.timed("hours", began)
    return outcomes


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
