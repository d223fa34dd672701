"""The intervals of a day: LPs hour after hour where residual flow hands widths on, side by side elsewhere."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from formulations.prices import has_rivals
from mpec.hour_solve import cut_hour
from mpec.hour_state import HourState
from mpec.hour_tightening import tighten_hour
from mpec.intervals import propagated

if TYPE_CHECKING:
    from mpec.decomposition import Decomposition

FLOWS = ("road_flow",)
CHAIN = ("road_flow", "residual", "modified")
ALL = ("residual", "modified", "cheapest", "road_flow", "slack", "price")


def first_intervals_of_day(run: Decomposition) -> None:
    """Road flows by LPs over the first cuts; with residual flow hour after hour, an hour's width is the next
    one's input."""
    if run.instance.users.xi > 0:
        _chain(run)
        return
    began = time.perf_counter()
    tasks = [(run.routes, s, d, FLOWS, (), 0.0) for s, d in zip(run.states, run.dispatches, strict=True)]
    for t, result in enumerate(run.tasks.map(tighten_hour, tasks)):
        _tightened(run, t, *result)
    run.timed("chain", began)


def _chain(run: Decomposition) -> None:
    """Residual intervals hour after hour before anything else: an hour's width is the next one's
    input."""
    began = time.perf_counter()
    assert run.multipliers is not None
    for t in range(len(run.states)):
        _inherit(run, t)
        state, _ = cut_hour(run.routes, run.states[t], run.dispatches[t], run.multipliers, rounds=1)
        run.states[t] = state
        _tightened(run, t, *tighten_hour(run.routes, state, run.dispatches[t], CHAIN, (), 0.0))
    run.timed("chain", began)


def tighten_day(run: Decomposition) -> None:
    """Interval LPs, with the cutoff: residuals hour after hour, then everything else side by side."""
    began = time.perf_counter()
    if run.instance.users.xi > 0 and run.sweep > 1:
        for t in range(len(run.states)):
            if run.limits.left() <= 0:
                run.timed("tighten", began)
                return
            _inherit(run, t)
            _tightened(
                run,
                t,
                *tighten_hour(run.routes, run.states[t], run.dispatches[t], CHAIN, run.cutoffs(t), 0.0),
            )
    # What rivals pay for electricity is relaxed over their loads.
    quantities = (*ALL, "load") if has_rivals(run.instance) and run.instance.tariff_mode == "dlmp" else ALL
    results = run.tasks.map(
        tighten_hour,
        [
            (run.routes, s, d, quantities, run.cutoffs(s.t), _least_money(run))
            for s, d in zip(run.states, run.dispatches, strict=True)
        ],
    )
    for t, result in enumerate(results):
        _tightened(run, t, *result)
    for t in range(len(run.states)):
        _inherit(run, t)
    run.timed("tighten", began)


def _least_money(run: Decomposition) -> float:
    """An interval whose relaxation can't err by this much (money per hour) isn't worth an LP."""
    room = run.limits.gap * max(abs(run.upper), 1.0)
    return 0.02 * room / len(run.states) if np.isfinite(room) else 0.0


def _tightened(run: Decomposition, t: int, state: HourState, _solves: int, infeasible: bool) -> None:
    if infeasible:
        # HiGHS was seen to call feasible models with narrow intervals infeasible: this proves nothing here.
        return
    run.log.add_claims(t, run.states[t], state)
    run.states[t] = state


def _inherit(run: Decomposition, t: int) -> None:
    """incoming[t] lies in the previous hour's residual interval."""
    if t == 0:
        return
    before, box = run.states[t - 1].box, run.states[t].box.copy()
    for n in range(len(run.instance.pairs)):
        box.meet("incoming", n, float(before.low["residual"][n]), float(before.high["residual"][n]))
    run.log.add_inherit(t)
    run.states[t] = propagated(run.routes, replace(run.states[t], box=box))
