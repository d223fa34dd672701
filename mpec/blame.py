"""Why a game has no allowed prices, in words: the station whose limit alone stands in the way, if there is one.

A limit is to blame if the game has a point without it. This is told, never relied on: the verdict INFEASIBLE rests on
the recheck alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from formulations.routes import RouteSet
from mpec.day_relaxation import build_day
from mpec.hour_dispatch import HourDispatch
from mpec.hour_solve import build_hour
from mpec.hour_state import HourState
from mpec.linear_model import LinearModel
from mpec.solvers import open_session

PATIENCE = 30.0
"""Seconds for each station that is tried."""


def empty_hour_text(period: int, station: str | None) -> str:
    """Why one hour has no allowed prices."""
    return f"period {period}: no prices in the box keep " + (
        f"station {station} within its capacity" if station else "all stations within their capacities"
    )


def empty_day_text(first: int, last: int, limit: str | None) -> str:
    """Why the periods ``first`` to ``last`` have none together; ``limit``: what :func:`blamed_limit` found."""
    where = f"period {first}" if first == last else f"periods {first} to {last} taken together"
    cause = "the MILP is infeasible" + (f", and has a point without {limit}" if limit else "")
    return f"no prices in the box are allowed in {where}: {cause}"


def blamed_station(routes: RouteSet, state: HourState, dispatch: HourDispatch) -> str | None:
    """The station whose capacity alone makes the hour infeasible, if there is one."""
    for m, station in enumerate(routes.instance.stations):
        model, _ = build_hour(routes, _without_capacity(routes, state, m), replace(dispatch, scenarios=()))
        if _has_point(model):
            return station.id
    return None


def blamed_limit(
    routes: RouteSet, states: Sequence[HourState], dispatches: Sequence[HourDispatch]
) -> str | None:
    """The mean price cap or capacity, of one station, without which the hours together have a point."""
    loose = [replace(dispatch, scenarios=()) for dispatch in dispatches]
    instance = routes.instance
    for m, station in enumerate(instance.stations):
        if station.price_mean_max is not None:
            free = replace(station, price_mean_max=None)
            stations = (*instance.stations[:m], free, *instance.stations[m + 1 :])
            uncapped = replace(routes, instance=replace(instance, stations=stations))
            if _has_point(build_day(uncapped, [_without_bill(state) for state in states], list(loose)).model):
                return f"the mean price cap {station.price_mean_max:g} of station {station.id}"
        roomy = [_without_capacity(routes, state, m) for state in states]
        if _has_point(build_day(routes, roomy, list(loose)).model):
            return f"the capacity {station.capacity_kw:g} kW of station {station.id}"
    return None


def _without_capacity(routes: RouteSet, state: HourState, m: int) -> HourState:
    """The hour with all that can drive to station m let in."""
    box = state.box.copy()
    box.high["load"][m] = float((box.high["route_flow"] * routes.plan_kwh[:, m]).sum())
    return _without_bill(replace(state, box=box))


def _without_bill(state: HourState) -> HourState:
    """The operator's conditions would ask for its programs; what electricity costs forbids no prices."""
    return replace(state, exact_dispatch=False, bill_cuts=())


def _has_point(model: LinearModel) -> bool:
    """Whether one was found, whatever it earns; what the time didn't suffice for is blamed on nobody."""
    model.cost = [0.0] * model.columns
    return open_session(model).solve(time_limit=PATIENCE).x is not None
