"""The users' equilibrium of one period on a given route set, for many price vectors at once.

Statement (page 1 of the design, eqs. (15), (22)-(27), (29)-(31)): find route flows w >= 0 with

    0 <= w_k  _|_  c_k(w) - cmin_rs >= 0,          c_k = kappa T_k(w) + fixed_k,
    sum_{k in rs} w_k (1 + q T_k(w)) = D_rs,       q = xi kappa / tau,  D = W + xi r_in,

where T_k is the time on the road and at the pile, fixed_k the charging bill plus the outside cost. At
q = 0 this is the minimum of Beckmann's potential. Method: projected second-order shifts from dearer
routes to the cheapest one (all O-D pairs together, damped), then Newton steps on the routes in use,
regularised because routes in use may be linearly dependent. Every array has a leading batch axis K.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from formulations.routes import RouteSet

Array = np.ndarray


@dataclass(frozen=True)
class UsersModel:
    """The numbers of a route set, restricted to O-D pairs that have routes ("slots").

    on_road (R, A), pair (R,) sorted, plan_kwh (R, M), charging_h (R,), outside_cost (R,),
    free_flow_h, alpha, capacity, beta, background (A,); kappa money/h; residual_share = xi kappa/tau 1/h.
    """

    on_road: Array
    pair: Array
    plan_kwh: Array
    charging_h: Array
    outside_cost: Array
    free_flow_h: Array
    alpha: Array
    capacity: Array
    beta: Array
    background: Array
    kappa: float
    residual_share: float
    pairs: int
    slot: Array = field(init=False)
    slot_pair: Array = field(init=False)
    starts: Array = field(init=False)
    on_road_t: Array = field(init=False)
    quartic: bool = field(init=False)
    slices: tuple[slice, ...] = field(init=False)

    def __post_init__(self) -> None:
        if len(self.pair) and np.any(np.diff(self.pair) < 0):
            raise ValueError("routes must be sorted by O-D pair")
        slot_pair, starts, slot = np.unique(self.pair, return_index=True, return_inverse=True)
        for name, value in (
            ("slot", slot),
            ("slot_pair", slot_pair),
            ("starts", starts),
            ("on_road_t", np.ascontiguousarray(self.on_road.T)),
            ("slices", tuple(slice(a, b) for a, b in zip(starts, [*starts[1:], len(slot)], strict=True))),
            ("quartic", bool(np.all(self.beta == 4.0))),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, routes: RouteSet) -> UsersModel:
        """The model of an instance's route set."""
        instance = routes.instance
        roads = instance.roads
        return cls(
            on_road=np.asarray(routes.on_road, float),
            pair=np.asarray(routes.pair, int),
            plan_kwh=np.asarray(routes.plan_kwh, float),
            charging_h=np.asarray(routes.charging_h, float),
            outside_cost=np.asarray(routes.outside_cost, float),
            free_flow_h=np.array([r.free_flow_h for r in roads], float),
            alpha=np.array([r.bpr_alpha for r in roads], float),
            capacity=np.array([r.capacity_veh_per_h for r in roads], float),
            beta=np.array([r.bpr_beta for r in roads], float),
            background=np.array([r.background_veh_per_h for r in roads], float),
            kappa=instance.users.kappa_per_h,
            residual_share=instance.users.xi * instance.residual_rate,
            pairs=len(instance.pairs),
        )

    # ---- exact functions, batch axis first ------------------------------------------------------
    def road_time(self, flow: Array) -> tuple[Array, Array]:
        """(29) and its derivative, h and h/(veh/h), for flows (K, A)."""
        ratio = (np.maximum(flow, 0.0) + self.background) / self.capacity
        if self.quartic:
            cubed = ratio * ratio * ratio
            slope, power = 4.0 * cubed, cubed * ratio
        else:
            # beta = 0 has slope 0; the exponent is kept at 0 so that 0 * 0**(-1) never appears.
            slope = self.beta * ratio ** np.maximum(self.beta - 1.0, 0.0)
            power = ratio**self.beta
        base = self.free_flow_h * self.alpha
        return self.free_flow_h + base * power, base * slope / self.capacity

    def flow_integral(self, flow: Array) -> Array:
        """Sum over roads of the integral of (29) from 0 to the flow, (K,), veh."""
        up = (np.maximum(flow, 0.0) + self.background) / self.capacity
        down = self.background / self.capacity
        power = self.beta + 1.0
        part = self.alpha * self.capacity / power * (up**power - down**power)
        return np.asarray(((np.maximum(flow, 0.0) + part) * self.free_flow_h).sum(axis=-1))

    def route_time(self, road_time: Array) -> Array:
        """T_k, h (K, R)."""
        return np.asarray(road_time @ self.on_road_t + self.charging_h)

    def slot_sum(self, values: Array) -> Array:
        """Sum over the routes of every O-D pair that has routes, (K, R) -> (K, slots)."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=-1))

    def slot_min(self, values: Array) -> Array:
        """Minimum over the routes of every O-D pair that has routes, (K, R) -> (K, slots)."""
        return np.asarray(np.minimum.reduceat(values, self.starts, axis=-1))


@dataclass
class _State:
    """Everything that follows from flows w (K, R) at fixed costs and demand."""

    w: Array
    slope: Array
    time: Array
    cost: Array
    least: Array
    excess: Array
    served: Array
    gap: Array


def _evaluate(model: UsersModel, w: Array, fixed: Array, demand: Array) -> _State:
    """Costs, cheapest costs and the relative gap of flows; gap covers (31) and the demand equation.

    gap = max over O-D pairs of sum_k w_k (c_k - cmin) / (sum_k w_k |c_k|) and |served - D| / D.
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
    unfair = np.where(wasted > 0, wasted / np.maximum(money, floor), 0.0)
    missing = np.abs(served - demand) / np.maximum(demand, floor)
    missing = np.where(demand > 0, missing, 0.0)
    gap = np.maximum(unfair, missing).max(axis=1) if unfair.shape[1] else np.zeros(len(w))
    return _State(w, slope, time, cost, least, excess, served, gap)


def _cheapest_index(model: UsersModel, excess: Array) -> Array:
    """Index of a cheapest route per slot, (K, slots)."""
    place = np.where(excess <= 0.0, np.arange(excess.shape[1]), excess.shape[1])
    return np.asarray(np.minimum.reduceat(place, model.starts, axis=1))


def _serve(model: UsersModel, w: Array, time: Array, demand: Array, cheapest: Array) -> Array:
    """Scale the flows of every O-D pair so that (23)-(26) hold at the given times."""
    load = w * (1.0 + model.residual_share * time)
    served = model.slot_sum(load)
    rows = np.arange(len(w))[:, None]
    empty = (served <= 0.0) & (demand > 0.0)
    scale = np.where(empty, 0.0, demand / np.where(served > 0.0, served, 1.0))
    w = w * scale[:, model.slot]
    if empty.any():
        at = 1.0 + model.residual_share * time[rows, cheapest]
        w[rows, cheapest] += np.where(empty, demand / at, 0.0)
    return w


def _sweep(
    model: UsersModel, state: _State, fixed: Array, demand: Array, damping: float = 1.0
) -> _State:
    """One second-order shift to the cheapest route, O-D pair after O-D pair, times a damping <= 1."""
    w, flow = state.w.copy(), state.w @ model.on_road
    rows = np.arange(len(w))
    for slot, part in enumerate(model.slices):
        on_road, constant = model.on_road[part], model.kappa * model.charging_h[part] + fixed[:, part]
        road, slope = model.road_time(flow)
        cost = model.kappa * (road @ on_road.T) + constant
        place = cost.argmin(axis=1)
        excess = cost - cost[rows, place][:, None]
        best = on_road[place]
        away = np.abs(on_road - best[:, None, :])
        bend = model.kappa * np.einsum("kra,ka->kr", away, slope)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            moved = np.where(excess > 0.0, excess / bend, 0.0)
        moved = np.minimum(w[:, part], moved)
        moved *= damping
        moved[rows, place] -= moved.sum(axis=1)
        change = -moved @ on_road
        size = _step_size(model, flow, change, -(constant * moved).sum(axis=1))
        fresh = np.maximum(w[:, part] - size[:, None] * moved, 0.0)
        others = flow - w[:, part] @ on_road
        fresh *= _served_scale(model, fresh, others, part, demand[:, slot])[:, None]
        flow = others + fresh @ on_road
        w[:, part] = fresh
    return _evaluate(model, w, fixed, demand)


def _served_scale(model: UsersModel, fresh: Array, others: Array, part: slice, demand: Array) -> Array:
    """The factor on a pair's flows (K, routes) that serves its demand (K,), other flows (K, A) given, (K,).

    f(s) = s sum_k w_k (1 + q T_k(others + s own)) grows between s^1 and s^(1 + beta): Newton in logarithms.
    """
    still = (fresh * (1.0 + model.residual_share * model.charging_h[part])).sum(axis=1)
    scale = np.where((still > 0.0) & (demand > 0.0), 1.0, 0.0)
    if model.residual_share == 0.0:
        return scale * demand / np.where(still > 0.0, still, 1.0)
    own = fresh @ model.on_road[part]
    for _ in range(4):
        time, slope = model.road_time(others + scale[:, None] * own)
        served = still + model.residual_share * (own * time).sum(axis=1)
        served = np.where(served > 0.0, served, 1.0)
        growth = 1.0 + scale * model.residual_share * (own * own * slope).sum(axis=1) / served
        with np.errstate(divide="ignore"):
            scale = scale * (demand / (served * np.where(scale > 0.0, scale, 1.0))) ** (1.0 / growth)
    return scale


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


def _newton(
    model: UsersModel, state: _State, fixed: Array, demand: Array, *, all_used: bool = False
) -> _State:
    """One Newton step of c_k = cmin, demand served, on the routes in use (the rest is emptied).

    A route counts as in use when its flow outlasts the shift that would level its cost, or, with
    `all_used`, whenever it has flow.
    """
    batch, slots = len(state.w), len(model.starts)
    cheapest = _cheapest_index(model, state.excess)
    own = model.kappa * (state.slope @ model.on_road_t)
    keep = state.w > 0.0
    if not all_used:
        keep &= (state.w * own > state.excess) | (state.excess <= 1e-12 * np.abs(state.cost))
    keep &= (demand > 0)[:, model.slot]
    emptied = np.where(keep, state.w, 0.0)
    state = _evaluate(model, _serve(model, emptied, state.time, demand, cheapest), fixed, demand)
    keep = state.w > 0.0
    size = int(keep.sum(axis=1).max()) if batch else 0
    if size == 0:
        return state
    order = np.argsort(~keep, axis=1, kind="stable")[:, :size]
    rows = np.arange(batch)[:, None]
    real = keep[rows, order]
    roads = model.on_road[order] * real[:, :, None]
    bent = (roads * state.slope[:, None, :]) @ roads.transpose(0, 2, 1)
    slot = model.slot[order]
    member = ((slot[:, :, None] == np.arange(slots)) & real[:, :, None]).astype(float)
    w, time, cost = (v[rows, order] * real for v in (state.w, state.time, state.cost))
    share = model.residual_share

    matrix = np.zeros((batch, size + slots, size + slots))
    matrix[:, :size, :size] = model.kappa * bent
    diagonal = model.kappa * np.einsum("kii->ki", bent)
    # The proximal term keeps the matrix regular; it vanishes with the step and does not move the answer.
    scale = np.maximum(diagonal.max(axis=1), _money(cost, w))
    index = np.arange(size)
    matrix[:, index, index] += np.where(real, 1e-11 * scale[:, None], 1.0)
    matrix[:, :size, size:] = -member
    bent *= share * w[:, :, None]
    bent[:, index, index] += (1.0 + share * time) * real
    matrix[:, size:, :size] = member.transpose(0, 2, 1) @ bent
    dead = ~(member > 0).any(axis=1)
    index = np.arange(slots)
    matrix[:, size + index, size + index] += dead
    level = state.least[rows, slot]
    right = np.concatenate(
        [np.where(real, level - cost, 0.0), np.where(dead, 0.0, demand - state.served)], axis=1
    )
    try:
        step = np.linalg.solve(matrix, right[:, :, None])[:, :size, 0]
    except np.linalg.LinAlgError:
        step = np.stack([np.linalg.lstsq(a, b, rcond=None)[0][:size] for a, b in zip(matrix, right, strict=True)])
    step = np.where(np.isfinite(step), step, 0.0)
    full = _moved(model, state, order, np.where(real, np.maximum(w + step, 0.0), 0.0), fixed, demand)
    worse = full.gap >= state.gap
    if not worse.any():
        return full
    # Dependent routes with unequal costs give a long step: go only until the first route is empty.
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(real & (step < 0.0), w / -step, np.inf).min(axis=1, keepdims=True)
    room = np.minimum(room, 1.0)
    short = np.where(real, w + room * step, 0.0)
    short[(step < 0.0) & (w <= -step * room * (1.0 + 1e-12))] = 0.0
    return _merge(full, _moved(model, state, order, np.maximum(short, 0.0), fixed, demand), worse & (room[:, 0] < 1.0))


def _moved(model: UsersModel, state: _State, order: Array, values: Array, fixed: Array, demand: Array) -> _State:
    """The state with the flows of the routes ``order`` replaced."""
    flows = state.w.copy()
    np.put_along_axis(flows, order, values, axis=1)
    return _evaluate(model, flows, fixed, demand)


def _money(cost: Array, w: Array) -> Array:
    """A cost slope (money per veh/h) for the proximal term where congestion gives none, (K,)."""
    return np.asarray(np.abs(cost).max(axis=1) / np.maximum(w.max(axis=1), 1e-300) * 1e-3 + 1e-300)


def _merge(kept: _State, tried: _State, better: Array) -> _State:
    """Rows of ``tried`` where ``better``, of ``kept`` elsewhere."""
    values = {}
    for name in ("w", "slope", "time", "cost", "least", "excess", "served", "gap"):
        a, b = getattr(kept, name), getattr(tried, name)
        values[name] = np.where(better.reshape((-1,) + (1,) * (a.ndim - 1)), b, a)
    return _State(**values)


def _rows(state: _State, rows: Array) -> _State:
    return _State(*(getattr(state, n)[rows] for n in ("w", "slope", "time", "cost", "least", "excess", "served", "gap")))


def free_flow_start(model: UsersModel, fixed: Array, demand: Array) -> Array:
    """Everyone on the route that is cheapest at zero flow, (K, R)."""
    road, _ = model.road_time(np.zeros((len(fixed), model.on_road.shape[1])))
    time = model.route_time(road)
    cost = model.kappa * time + fixed
    excess = cost - model.slot_min(cost)[:, model.slot]
    cheapest = _cheapest_index(model, excess)
    return _serve(model, np.zeros_like(cost), time, demand, cheapest)


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
    to the demand. Deterministic.
    """
    if not len(model.pair):
        return np.zeros(fixed.shape), np.zeros(len(fixed))
    w = free_flow_start(model, fixed, demand) if start is None else np.maximum(start, 0.0)
    state = _evaluate(model, w, fixed, demand)
    state = _evaluate(
        model, _serve(model, w, state.time, demand, _cheapest_index(model, state.excess)), fixed, demand
    )
    best, chain = _rows(state, np.arange(len(w))), state
    for turn in range(rounds):
        now = np.flatnonzero(best.gap > aim)
        if not len(now):
            break
        f, d = fixed[now], demand[now]
        part = _rows(chain, now)
        # With residual flow shifts can cycle: later turns damp them and keep every used route in Newton.
        damping = 1.0 if turn % 4 < 3 or model.residual_share == 0.0 else 0.3
        for _ in range(2 if turn < 3 else 6):
            part = _sweep(model, part, f, d, damping)
        top = _merge(_rows(best, now), part, part.gap < best.gap[now])
        trial = part
        for _ in range(6 if turn < 3 else 20):
            trial = _newton(model, trial, f, d, all_used=turn % 2 == 1)
            top = _merge(top, trial, trial.gap < top.gap)
            if np.all(top.gap <= aim):
                break
        chain = _put(chain, _merge(part, top, top.gap < 0.1 * part.gap), now)
        stalled = np.all(top.gap >= best.gap[now]) and turn > 8 and np.all(top.gap < 1e-12)
        best = _put(best, top, now)
        if stalled:
            break
    return best.w, best.gap


def gap_of(model: UsersModel, w: Array, fixed: Array, demand: Array) -> Array:
    """The relative gaps (K,) of flows (K, R): unfairness and missed demand, the larger."""
    if not len(model.pair):
        return np.zeros(len(w))
    return _evaluate(model, w, fixed, demand).gap


def _put(state: _State, part: _State, rows: Array) -> _State:
    for name in ("w", "slope", "time", "cost", "least", "excess", "served", "gap"):
        getattr(state, name)[rows] = getattr(part, name)
    return state


__all__ = ["UsersModel", "equilibria", "free_flow_start", "gap_of"]
