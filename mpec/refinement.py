"""Refinement: make an hour's relaxation tighter exactly where its own solution is furthest from the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from formulations.congestion import RoadCost
from formulations.routes import RouteSet
from mpec.hour_solve import HourPoint
from mpec.hour_state import HourBlock, HourState

Array = np.ndarray


@dataclass(frozen=True)
class Errors:
    """How far a relaxed point is from the truth, money per hour: by road (A,), by pair (N,), by station (M,)."""

    roads: Array
    pairs: Array
    stations: Array

    @property
    def total(self) -> float:
        return float(self.roads.sum() + self.pairs.sum() + self.stations.sum())


def point_errors(routes: RouteSet, point: HourPoint) -> Errors:
    """kappa |x t - x t(x)| plus what a wrong time is worth on the road, and |cmin Wmod - its column|."""
    instance = routes.instance
    kappa = instance.users.kappa_per_h
    flow = np.nan_to_num(point.road_flow)
    true = RoadCost.of(instance).time(flow)
    known = ~np.isnan(point.road_time)
    time_error = np.where(known, np.abs(np.nan_to_num(point.road_time) - true) * flow, 0.0)
    hours_error = np.where(known, np.abs(np.nan_to_num(point.road_hours) - true * flow), 0.0)
    pairs = np.abs(np.nan_to_num(point.bill - point.cheapest * point.modified))
    stations = np.abs(np.nan_to_num(point.income - point.price * point.load))
    return Errors(kappa * (time_error + hours_error), np.asarray(pairs), np.asarray(stations))


def refine(
    routes: RouteSet,
    state: HourState,
    point: HourPoint,
    *,
    roads: int = 8,
    pairs: int = 4,
    stations: int = 3,
    least: float = 1e-3,
    pieces: int = 8,
) -> tuple[HourState, float]:
    """Breakpoints at the point for the worst roads, pairs and stations; the total error.

    A breakpoint closer than 2 % of the interval to another is not added; ``pieces`` caps each partition.
    """
    errors = point_errors(routes, point)
    road_points = dict(state.road_points)
    for a in np.argsort(-errors.roads)[:roads]:
        if errors.roads[a] > least:
            ends = float(state.box.low["road_flow"][a]), float(state.box.high["road_flow"][a])
            road_points[int(a)] = _insert(
                road_points.get(int(a), ()), float(point.road_flow[a]), ends, pieces
            )
    cheapest = dict(state.cheapest_points)
    for n in np.argsort(-errors.pairs)[:pairs]:
        if errors.pairs[n] > least:
            ends = float(state.box.low["cheapest"][n]), float(state.box.high["cheapest"][n])
            cheapest[int(n)] = _insert(cheapest.get(int(n), ()), float(point.cheapest[n]), ends, pieces)
    prices = dict(state.price_points)
    for m in np.argsort(-errors.stations)[:stations]:
        if errors.stations[m] > least:
            ends = float(state.box.low["price"][m]), float(state.box.high["price"][m])
            prices[int(m)] = _insert(prices.get(int(m), ()), float(point.price[m]), ends, pieces)
    new = replace(state, road_points=road_points, cheapest_points=cheapest, price_points=prices)
    return new, errors.total


def worst_choices(
    block: HourBlock, state: HourState, x: Array, *, most: int = 10, least: float = 1e-3
) -> tuple[HourState, float]:
    """Binaries for the pairs (31) without one that the point misses by most, w (c - cmin) in money per hour.

    Returns the state with them and the sum of all that is missed.
    """
    if state.choices is None:
        return state, 0.0
    open_routes = sorted(block.open_pairs - state.choices)
    missed = np.array([x[block.route_flow[k]] * max(block.slack[k].value(x), 0.0) for k in open_routes])
    worst = [open_routes[i] for i in np.argsort(-missed)[:most] if missed[i] > least]
    return replace(state, choices=state.choices | frozenset(worst)), float(missed.sum())


def _insert(
    points: tuple[float, ...], value: float, ends: tuple[float, float], pieces: int
) -> tuple[float, ...]:
    """Add ``value``, or the middle of the piece that holds it when it lies too close to a breakpoint."""
    inner = sorted(p for p in points if ends[0] < p < ends[1])
    if len(inner) + 1 >= pieces:
        return tuple(inner)
    width = ends[1] - ends[0]
    full = [ends[0], *inner, ends[1]]
    if min(abs(value - p) for p in full) < 0.02 * width:
        i = int(np.clip(np.searchsorted(full, value), 1, len(full) - 1))
        # At a breakpoint the piece on its wider side is the one to split.
        left = full[i] - full[i - 1]
        right = full[i + 1] - full[i] if i + 1 < len(full) and abs(value - full[i]) < 0.02 * width else 0.0
        value = 0.5 * (full[i - 1] + full[i]) if left >= right else 0.5 * (full[i] + full[i + 1])
        if max(left, right) < 0.02 * width:
            return tuple(inner)
    return tuple(sorted({*inner, value}))
