"""Everything that follows from route flows at given fixed costs and demand, row by row of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mpec.followers.users_model import UsersModel

Array = np.ndarray[Any, Any]

_FIELDS = ("w", "slope", "time", "cost", "least", "excess", "served", "gap")


@dataclass
class State:
    """w, time, cost, excess = cost - least (K, R); slope of the road times (K, A); least cost and served
    demand (K, slots); gap (K,), see :func:`evaluate`."""

    w: Array
    slope: Array
    time: Array
    cost: Array
    least: Array
    excess: Array
    served: Array
    gap: Array


def evaluate(model: UsersModel, w: Array, fixed: Array, demand: Array) -> State:
    """Costs, cheapest costs and the relative gap of flows; the gap covers (31) and the demand equation.

    gap = max over O-D pairs of sum_k w_k (c_k - cmin) / sum_k w_k |c_k| and of |served - D| / D.
    """
    road, slope = model.road_time(w @ model.on_road)
    time = model.route_time(road)
    cost = model.kappa * time + fixed
    least = model.slot_min(cost)
    excess = cost - least[:, model.slot]
    served = model.slot_sum(w * (1.0 + model.residual_share * time))
    money = model.slot_sum(w * np.abs(cost))
    wasted = model.slot_sum(w * excess)
    floor = np.finfo(float).tiny
    with np.errstate(over="ignore"):
        unfair = np.where(wasted > 0.0, wasted / np.maximum(money, floor), 0.0)
    missing = np.where(demand > 0.0, np.abs(served - demand) / np.maximum(demand, floor), 0.0)
    gap = np.maximum(unfair, missing).max(axis=1)
    return State(w, slope, time, cost, least, excess, served, gap)


def cheapest_index(model: UsersModel, excess: Array) -> Array:
    """Index of a cheapest route per slot, (K, slots)."""
    place = np.where(excess <= 0.0, np.arange(excess.shape[1]), excess.shape[1])
    return np.asarray(np.minimum.reduceat(place, model.starts, axis=1))


def serve(model: UsersModel, w: Array, time: Array, demand: Array, cheapest: Array) -> Array:
    """Scale the flows of every O-D pair so that (23)-(26) hold at the given times; none yet: the cheapest."""
    served = model.slot_sum(w * (1.0 + model.residual_share * time))
    rows = np.arange(len(w))[:, None]
    empty = (served <= 0.0) & (demand > 0.0)
    scale = np.where(empty, 0.0, demand / np.where(served > 0.0, served, 1.0))
    w = w * scale[:, model.slot]
    if empty.any():
        at = 1.0 + model.residual_share * time[rows, cheapest]
        w[rows, cheapest] += np.where(empty, demand / at, 0.0)
    return w


def rows_of(state: State, rows: Array) -> State:
    """The given rows, copied."""
    return State(*(getattr(state, name)[rows] for name in _FIELDS))


def put(state: State, part: State, rows: Array) -> State:
    """``state`` with the given rows overwritten by ``part``, in place."""
    for name in _FIELDS:
        getattr(state, name)[rows] = getattr(part, name)
    return state


def merge(kept: State, tried: State, better: Array) -> State:
    """Rows of ``tried`` where ``better`` (K,), of ``kept`` elsewhere."""
    if better.all():
        return tried
    merged = []
    for name in _FIELDS:
        a, b = getattr(kept, name), getattr(tried, name)
        merged.append(np.where(better.reshape((-1,) + (1,) * (a.ndim - 1)), b, a))
    return State(*merged)
