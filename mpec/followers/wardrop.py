"""The users' equilibrium of one period on a given route set, for many price vectors at once.

Statement (page 1 of the design, eqs. (15), (22)-(27), (29)-(31)): find route flows w >= 0 with

    0 <= w_k  _|_  c_k(w) - cmin_rs >= 0,          c_k = kappa T_k(w) + fixed_k,
    sum_{k in rs} w_k (1 + q T_k(w)) = D_rs,       q = xi kappa / tau,  D = W + xi r_in,

where T_k is the time on the road and at the pile, fixed_k the charging bill plus the outside cost. At
q = 0 this is the minimum of Beckmann's potential. Method: shifts from dearer routes to the cheapest one, one
O-D pair after the other with an exact line search (`sweep`), then Newton's method on the complementarity
problem (`linearised`), which needs a handful of steps. Every array has a leading batch axis K.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mpec.followers.linearised import linearised_answer
from mpec.followers.state import State, cheapest_index, evaluate, merge, put, rows_of, serve
from mpec.followers.users_model import UsersModel

Array = np.ndarray[Any, Any]

NEAR = 1e-3
"""From a gap below this Newton's method is tried at once, without shifts first."""

__all__ = ["equilibria", "free_flow_start", "gap_of"]


def equilibria(
    model: UsersModel,
    fixed: Array,
    demand: Array,
    start: Array | None = None,
    *,
    aim: float = 1e-14,
    rounds: int = 60,
) -> tuple[Array, Array]:
    """Equilibrium flows (K, R) and their gaps (K,) for fixed costs (K, R) and demand D (K, slots).

    Never raises for want of convergence: the gap says how good each row is. ``start`` (K, R) is scaled
    to the demand. Deterministic; rows do not influence each other.
    """
    if not len(model.pair):
        return np.zeros(fixed.shape), np.zeros(len(fixed))
    w = free_flow_start(model, fixed, demand) if start is None else np.maximum(start, 0.0)
    state = evaluate(model, w, fixed, demand)
    w = serve(model, w, state.time, demand, cheapest_index(model, state.excess))
    state = evaluate(model, w, fixed, demand)
    best = rows_of(state, np.arange(len(w)))
    for turn in range(rounds):
        now = np.flatnonzero(best.gap > aim)
        if not len(now):
            break
        f, d = fixed[now], demand[now]
        part = rows_of(state, now)
        # Shifts can cycle with residual flow: some turns damp them.
        damping = 0.3 if turn % 4 == 3 and model.residual_share > 0.0 else 1.0
        if turn or np.any(part.gap > NEAR):
            for _ in range(2 if turn < 2 else 4):
                part = sweep(model, part, f, d, damping)
        top = merge(rows_of(best, now), part, part.gap < best.gap[now])
        for _ in range(8):
            part = _newton(model, part, f, d)
            top = merge(top, part, part.gap < top.gap)
            if np.all(top.gap <= aim):
                break
        put(state, part, now)
        stalled = np.all(top.gap >= best.gap[now]) and turn > 8 and np.all(top.gap < 1e-12)
        put(best, top, now)
        if stalled:
            break
    return best.w, best.gap


def gap_of(model: UsersModel, w: Array, fixed: Array, demand: Array) -> Array:
    """The relative gaps (K,) of flows (K, R): unfairness and missed demand, the larger."""
    if not len(model.pair):
        return np.zeros(len(w))
    return evaluate(model, w, fixed, demand).gap


def free_flow_start(model: UsersModel, fixed: Array, demand: Array) -> Array:
    """Everyone on the route that is cheapest at zero flow, (K, R)."""
    road, _ = model.road_time(np.zeros((len(fixed), model.on_road.shape[1])))
    time = model.route_time(road)
    cost = model.kappa * time + fixed
    excess = cost - model.slot_min(cost)[:, model.slot]
    return serve(model, np.zeros_like(cost), time, demand, cheapest_index(model, excess))


def _newton(model: UsersModel, state: State, fixed: Array, demand: Array) -> State:
    """One step towards the answer of the linearised problem: whole if it helps, else shortened."""
    target = linearised_answer(model, state, demand)
    whole = evaluate(model, target, fixed, demand)
    worse = np.flatnonzero(whole.gap >= state.gap)
    if not len(worse):
        return whole
    part, f, d = rows_of(state, worse), fixed[worse], demand[worse]
    direction = target[worse] - part.w
    if model.residual_share == 0.0:
        # The potential falls along the step (its model is convex): take the best of it.
        flow, change = part.w @ model.on_road, direction @ model.on_road
        constant = ((model.kappa * model.charging_h + f) * direction).sum(axis=1)
        size = _step_size(model, flow, change, constant)
        short = evaluate(model, part.w + size[:, None] * direction, f, d)
    else:
        short = part
        for size_all in (0.5, 0.2, 0.05):
            tried = evaluate(model, part.w + size_all * direction, f, d)
            short = merge(short, tried, tried.gap < short.gap)
    return put(whole, short, worse)


def sweep(model: UsersModel, state: State, fixed: Array, demand: Array, damping: float = 1.0) -> State:
    """One second-order shift to the cheapest route, O-D pair after O-D pair, times a damping <= 1."""
    w, flow = state.w.copy(), state.w @ model.on_road
    rows = np.arange(len(w))
    for slot, part in enumerate(model.slices):
        on_road, constant = model.on_road[part], model.kappa * model.charging_h[part] + fixed[:, part]
        fresh = w[:, part]
        others = flow - fresh @ on_road
        if len(on_road) > 1:
            road, slope = model.road_time(flow)
            cost = model.kappa * (road @ on_road.T) + constant
            place = cost.argmin(axis=1)
            excess = cost - cost[rows, place][:, None]
            away = np.abs(on_road - on_road[place][:, None, :])
            bend = model.kappa * (away @ slope[:, :, None])[:, :, 0]
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                moved = np.where(excess > 0.0, excess / bend, 0.0)
            moved = damping * np.minimum(fresh, moved)
            moved[rows, place] -= moved.sum(axis=1)
            size = _step_size(model, flow, -moved @ on_road, -(constant * moved).sum(axis=1))
            fresh = np.maximum(fresh - size[:, None] * moved, 0.0)
        fresh = fresh * _served_scale(model, fresh, others, part, demand[:, slot])[:, None]
        flow = others + fresh @ on_road
        w[:, part] = fresh
    return evaluate(model, w, fixed, demand)


def _served_scale(model: UsersModel, fresh: Array, others: Array, part: slice, demand: Array) -> Array:
    """The factor on a pair's flows (K, routes) that serves its demand (K,), other flows (K, A) given, (K,).

    f(s) = s sum_k w_k (1 + q T_k(others + s own)) grows between s^1 and s^(1 + beta): Newton in logarithms.
    """
    still = (fresh * (1.0 + model.residual_share * model.charging_h[part])).sum(axis=1)
    scale = np.where((still > 0.0) & (demand > 0.0), 1.0, 0.0)
    if model.residual_share == 0.0:
        return np.asarray(scale * demand / np.where(still > 0.0, still, 1.0))
    own = fresh @ model.on_road[part]
    for _ in range(4):
        time, slope = model.road_time(others + scale[:, None] * own)
        served = still + model.residual_share * (own * time).sum(axis=1)
        served = np.where(served > 0.0, served, 1.0)
        growth = 1.0 + scale * model.residual_share * (own * own * slope).sum(axis=1) / served
        ratio = demand / (served * np.where(scale > 0.0, scale, 1.0))
        scale = scale * ratio ** (1.0 / growth)
        if np.all(np.abs(ratio - 1.0) < 1e-9):
            break
    return np.asarray(scale)


def _step_size(model: UsersModel, flow: Array, change: Array, constant: Array) -> Array:
    """Step in [0, 1] where the cost along a shift stops falling (regula falsi on c(w + s d) . d), (K,).

    At fixed demand c(w) . d is the derivative of Beckmann's potential, so the step is a descent step.
    """

    def derivative(size: Array) -> Array:
        road, _ = model.road_time(flow + size[:, None] * change)
        return np.asarray(model.kappa * (road * change).sum(axis=1) + constant)

    low, high = np.zeros(len(flow)), np.ones(len(flow))
    at_high = derivative(high)
    over = at_high > 0.0
    if not over.any():
        return high
    at_low = derivative(low)
    for _ in range(3):
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = low + (high - low) * at_low / (at_low - at_high)
        guess = np.where(np.isfinite(guess), guess, 0.5 * (low + high))
        value = derivative(guess)
        up = value > 0.0
        high, at_high = np.where(up, guess, high), np.where(up, value, at_high)
        low, at_low = np.where(up, low, guess), np.where(up, at_low, value)
    return np.where(over, np.where(low > 0.0, low, high), 1.0)
