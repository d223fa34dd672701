"""Equilibria that differ in who uses which of the equally cheap routes: the moves between them.

Without residual flow (q = 0) all equilibria of an hour have the same flow on every road whose time depends
on it, so they are exactly the polytope

    w >= 0 on the routes with c_k = cmin,   sum_k on_road[k, a] w_k = x_a (roads with alpha, beta > 0),
    sum_{k in rs} w_k = D_rs,

and what the leader earns at given electricity prices is linear on it. With residual flow the equilibria with
these routes tied form a curved set, whose tangent space is

    kappa on_road diag(t') on_road' dw = du,    d( sum_{k in rs} w_k (1 + q T_k) ) = 0.

A `TieSet` holds a basis of these moves; `extreme_split` solves the linear program over them (it has one to three
dimensions nearly always).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mpec.followers.users_model import UsersModel
from mpec.followers.vertex_walk import best_step

Array = np.ndarray[Any, Any]

TIE = 1e-10
"""A route counts as equally cheap within this share of its cost."""

RANK = 1e-9
"""Singular values below this share of the largest count as zero."""

LIKE = 1e-8
"""Unavoidable excesses within this share count as equal."""

ORDER = np.random.default_rng(0).random(997)
"""Generic weights of the routes: of equally favoured splits the one with the most of them is taken."""


@dataclass(frozen=True)
class TieSet:
    """Equally cheap routes (indices) and a basis of the moves among them, (len(routes), dimension);
    curved: the moves are only tangent to the equilibria."""

    routes: Array
    moves: Array
    curved: bool

    @property
    def alone(self) -> bool:
        """Whether there is no other split."""
        return not self.moves.shape[1]


@dataclass(frozen=True)
class TieRule:
    """favour (R,): money per unit of route flow to maximise; capacity_kw (M,) or None: limits to respect
    where some tie does (else the total excess is least)."""

    favour: Array
    capacity_kw: Array | None = None


def tie_sets(model: UsersModel, flows: Array, fixed: Array) -> list[TieSet]:
    """The ties of equilibria (K, R) at fixed costs (K, R)."""
    q = model.residual_share
    if not len(model.pair):
        return [TieSet(np.zeros(0, int), np.zeros((0, 0)), False) for _ in flows]
    road, slope = model.road_time(flows @ model.on_road)
    time = model.route_time(road)
    cost = model.kappa * time + fixed
    excess = cost - model.slot_min(cost)[:, model.slot]
    served = (model.slot_sum(flows) > 0.0)[:, model.slot]
    size = np.maximum(np.abs(cost), np.abs(cost - excess))
    tied = ((excess <= TIE * size) | (flows > 0.0)) & served
    count = tied.sum(axis=1)
    some = np.flatnonzero(count > np.add.reduceat(tied, model.starts, axis=1).astype(bool).sum(axis=1))
    found = [TieSet(np.flatnonzero(row), np.zeros((n, 0)), False) for row, n in zip(tied, count, strict=True)]
    if not len(some):
        return found
    wide = int(count[some].max())
    order = np.argsort(~tied[some], axis=1, kind="stable")[:, :wide]
    line = np.arange(len(some))[:, None]
    real = tied[some][line, order]
    on = model.on_road[order] * real[:, :, None]
    if q == 0.0:
        matrix = _fixed_roads(model, on, order, real)
    else:
        weight = 1.0 + q * time[some][line, order]
        matrix = _tangent(model, on, order, real, weight, flows[some][line, order], slope[some])
    _, values, right = np.linalg.svd(matrix, full_matrices=False)
    rank = (values > RANK * values[:, :1]).sum(axis=1)
    for i, k in enumerate(some):
        basis = right[i, rank[i] :, : count[k]].T
        found[k] = TieSet(found[k].routes, np.where(np.abs(basis) > 1e-13, basis, 0.0), q > 0.0)
    return found


def _member(model: UsersModel, order: Array, real: Array) -> Array:
    """(n, slots, wide) 1 where the route belongs to the O-D pair."""
    slots = np.arange(len(model.starts))
    member = (model.slot[order][:, None, :] == slots[:, None]) & real[:, None, :]
    return np.asarray(member, float)


def _fixed_roads(model: UsersModel, on: Array, order: Array, real: Array) -> Array:
    """Rows that hold the flows of roads that can be congested, and the totals of the O-D pairs."""
    grows = (model.alpha > 0.0) & (model.beta > 0.0) & (model.kappa > 0.0)
    pad = np.where(real, 0.0, 1.0)[:, :, None] * np.eye(order.shape[1])
    held = on.transpose(0, 2, 1) * grows[:, None]
    return np.asarray(np.concatenate([held, _member(model, order, real), pad], axis=1))


def _tangent(
    model: UsersModel, on: Array, order: Array, real: Array, weight: Array, flows: Array, slope: Array
) -> Array:
    """The tangent equations in (dw, du); padding and pairs without routes get an equation of their own."""
    count, wide = order.shape
    slots = len(model.starts)
    member = _member(model, order, real)
    bent = (on * slope[:, None, :]) @ on.transpose(0, 2, 1)
    scale = np.maximum(1.0, model.kappa * np.abs(bent).max(axis=(1, 2)))
    index = np.arange(wide)
    weighted = model.residual_share * flows[:, :, None] * bent
    weighted[:, index, index] += weight
    matrix = np.zeros((count, wide + slots, wide + slots))
    matrix[:, :wide, :wide] = model.kappa * bent / scale[:, None, None]
    matrix[:, index, index] += ~real
    matrix[:, :wide, wide:] = -member.transpose(0, 2, 1)
    matrix[:, wide:, :wide] = member @ weighted
    index = wide + np.arange(slots)
    matrix[:, index, index] += member.sum(axis=2) == 0.0
    # An empty road's time starts to grow with slope 0; only its flow tells that it would.
    flat = slope <= 1e-12 * model.free_flow_h / model.capacity
    empty = flat & (model.alpha > 0.0) & (model.beta > 0.0) & on.any(axis=1)
    if empty.any():
        held = np.zeros((count, len(model.alpha), wide + slots))
        held[:, :, :wide] = (on * empty[:, None, :]).transpose(0, 2, 1)
        matrix = np.concatenate([matrix, held], axis=1)
    return matrix


def moves_matter(model: UsersModel, ties: TieSet, rule: TieRule, load: Array) -> bool:
    """Whether a move changes what is favoured, or a load where some limit is exceeded at loads (M,)."""
    if ties.alone:
        return False
    favour = rule.favour[ties.routes]
    if np.abs(favour @ ties.moves).max() > 1e-12 * (1e-300 + np.abs(favour).max()):
        return True
    over = rule.capacity_kw is not None and bool((load > rule.capacity_kw).any())
    return over and load_moves(model, ties)


def load_moves(model: UsersModel, ties: TieSet) -> bool:
    """Whether a move changes a station's load."""
    plan = model.plan_kwh[ties.routes]
    return bool(np.abs(plan.T @ ties.moves).max() > 1e-10 * (1.0 + plan.max()))


def extreme_split(model: UsersModel, ties: TieSet, flows: Array, rule: TieRule) -> Array:
    """The flows (R,) that the linear program over the moves ends at: least excess first, then favour."""
    now, favour = flows[ties.routes], rule.favour[ties.routes] @ ties.moves
    load = flows @ model.plan_kwh
    effect = model.plan_kwh[ties.routes].T @ ties.moves
    limited = np.zeros(len(load), bool) if rule.capacity_kw is None else np.abs(effect).max(axis=1) > 1e-12
    room = np.zeros(0) if rule.capacity_kw is None else (rule.capacity_kw - load)[limited]
    effect = effect[limited]
    order = ORDER[ties.routes % len(ORDER)] @ ties.moves
    step = best_step(ties.moves, now, effect, room, favour, order, curved=ties.curved)
    if step is None:
        return flows.copy()
    split = flows.copy()
    split[ties.routes] = np.maximum(now + ties.moves @ step, 0.0)
    return split


def like_excess(least: Any) -> Any:
    """How much more than the least excess, kW, counts as equal to it: rounding where there need be none.

    Where there must be some the answer is not allowed anyway, and several stations can often share it in
    any way: which share is favoured must not rest on rounding.
    """
    return 1e-9 + LIKE * least


def load_extremes(model: UsersModel, flows: Array, fixed: Array) -> tuple[Array, Array]:
    """Least and largest station loads (M,), kW, over the ties of an equilibrium (R,) (q = 0: exact)."""
    ties = tie_sets(model, flows[None], fixed[None])[0]
    load = flows @ model.plan_kwh
    low, high = load.copy(), load.copy()
    if ties.alone or not load_moves(model, ties):
        return low, high
    for m in range(len(load)):
        energy = model.plan_kwh[:, m]
        low[m] = float(energy @ extreme_split(model, ties, flows, TieRule(-energy)))
        high[m] = float(energy @ extreme_split(model, ties, flows, TieRule(energy)))
    return low, high
