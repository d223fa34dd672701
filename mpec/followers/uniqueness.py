"""Proofs that the users' answer of a period is unique (loads, modified demands, residuals)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mpec.followers.ties import load_extremes, tie_sets

if TYPE_CHECKING:
    from mpec.followers.users import Users

Array = np.ndarray[Any, Any]


def answer_is_unique(users: Users, t: int, flows: Array, prices: Array, incoming: Array) -> bool:
    """True only with a proof; False means "not known" or "known not to be".

    Without residual flow road times and costs are unique (Beckmann's potential is convex, its flows unique
    on roads whose time grows), so every equilibrium is a tie of this one: unique if no tie changes a load.
    With residual flow (q > 0) road times may differ between equilibria. They can't if each O-D pair has
    either one usable route or, at kappa > 0, usable routes of one and the same bill b. Proof: sum_k w_k T_k
    is then V = Wmod (u - b)/kappa (or Wmod T(u) with one route), and the least costs u are monotone in
    v = Wmod: sum_i (v_i - v'_i)(u_i - u'_i) >= 0. Two equilibria v != v' would have the same
    D_i = v_i + q V_i, hence u_i < u'_i wherever v_i > v'_i and the other way round: a contradiction.
    """
    if users.model.residual_share > 0.0 and not _times_are_unique(users, t, prices, incoming):
        return False
    fixed = users.fixed_cost(prices[None])
    if tie_sets(users.model, flows[None], fixed)[0].alone:
        return True
    low, high = load_extremes(users.model, flows, fixed[0])
    return not np.any(high - low > 1e-7 * (1.0 + np.abs(high)))


def _times_are_unique(users: Users, t: int, prices: Array, incoming: Array) -> bool:
    """Whether every O-D pair has one usable route, or usable routes of one bill (kappa > 0).

    Usable: not beaten by another route throughout the flow intervals, which are propagated to and fro.
    """
    model = users.model
    fixed, demand = users.fixed_cost(prices[None])[0], users.right_side(t, incoming[None])[0]
    usable = (demand > 0.0)[model.slot]
    slots = np.arange(len(model.starts))
    member = model.slot == slots[:, None]
    flow_low = np.zeros(model.on_road.shape[1])
    flow_high: Array | None = None
    for _ in range(20):
        before = usable.sum()
        upper = np.zeros(model.on_road.shape[1])
        lower = np.zeros(model.on_road.shape[1])
        most_time = None if flow_high is None else model.route_time(model.road_time(flow_high[None])[0])[0]
        least_time = model.route_time(model.road_time(flow_low[None])[0])[0]
        for p in slots:
            rows = member[p] & usable
            if not rows.any():
                continue
            q = model.residual_share
            upper += model.on_road[rows].max(axis=0) * demand[p] / (1.0 + q * least_time[rows].min())
            if most_time is not None:
                lower += model.on_road[rows].min(axis=0) * demand[p] / (1.0 + q * most_time[rows].max())
        flow_low = lower
        flow_high = upper if flow_high is None else np.minimum(upper, flow_high)
        usable &= _not_beaten(users, fixed, usable, flow_low, flow_high)
        if usable.sum() == before and most_time is not None:
            break
    for p in slots:
        bills = fixed[member[p] & usable]
        if len(bills) < 2:
            continue
        if model.kappa == 0.0 or np.ptp(bills) > 1e-12 * (1.0 + np.abs(bills).max()):
            return False
    return True


def _not_beaten(users: Users, fixed: Array, usable: Array, flow_low: Array, flow_high: Array) -> Array:
    """Mask of the routes that no other usable route of the pair beats throughout the flow intervals."""
    model = users.model
    low = model.road_time(flow_low[None])[0][0]
    high = model.road_time(flow_high[None])[0][0]
    keep = np.ones(len(fixed), bool)
    own = model.charging_h
    for rows in (np.flatnonzero((model.slot == p) & usable) for p in range(len(model.starts))):
        if len(rows) < 2:
            continue
        on = model.on_road[rows]
        only_first = on[:, None, :] * (1.0 - on[None, :, :])  # roads of k that j avoids
        only_second = on[None, :, :] * (1.0 - on[:, None, :])
        least = only_first @ low - only_second @ high
        base = model.kappa * own[rows] + fixed[rows]
        gap = model.kappa * least + base[:, None] - base[None, :]
        margin = 1e-9 * (1.0 + np.abs(base).max())
        keep[rows] = ~(gap > margin).any(axis=1)
    return keep
