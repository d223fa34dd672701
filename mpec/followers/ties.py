"""Choosing among equilibria that differ in who uses which of the equally cheap routes.

Without residual flow (q = 0) all equilibria of an hour have the same flow on every road whose time depends
on it, so they are exactly the polytope

    w >= 0 on the routes with c_k = cmin,   sum_k on_road[k, a] w_k = x_a (roads with alpha, beta > 0),
    sum_{k in rs} w_k = D_rs,

and what the leader earns at given electricity prices is linear on it: one linear program. With residual flow
the equilibria with these routes tied form a curved set; the program is then solved on its tangent space

    kappa on_road diag(t') on_road' dw = du,    d( sum_{k in rs} w_k (1 + q T_k) ) = 0

and the users' solver leads the result back to an equilibrium (the caller keeps it only if it is better).
Programs are written in coordinates of the null space, whose dimension is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mpec.linear_model import LinearModel
from mpec.solvers import open_session

if TYPE_CHECKING:
    from mpec.followers.users import Users

Array = np.ndarray

TIE = 1e-10
"""A route counts as equally cheap within this share of its cost."""

RANK = 1e-9
"""Singular values below this share of the largest count as zero."""


@dataclass(frozen=True)
class TieRule:
    """favour (R,): money per unit of route flow to maximise; capacity_kw (M,) or None: limits to respect
    where some tie does (else the total excess is least)."""

    favour: Array
    capacity_kw: Array | None = None


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


def tie_set(users: Users, flows: Array, prices: Array) -> TieSet:
    """The ties of an equilibrium (R,) at prices (M,)."""
    model, q = users.model, users.model.residual_share
    road, slope = model.road_time((flows @ model.on_road)[None])
    time = model.route_time(road)
    cost = model.kappa * time + users.fixed_cost(prices[None])
    excess = (cost - model.slot_min(cost)[:, model.slot])[0]
    served = (model.slot_sum(flows[None])[0] > 0.0)[model.slot]
    size = np.maximum(np.abs(cost[0]), np.abs(cost[0] - excess))
    routes = np.flatnonzero(((excess <= TIE * size) | (flows > 0.0)) & served)
    slots = np.unique(model.slot[routes])
    if len(routes) == len(slots):
        return TieSet(routes, np.zeros((len(routes), 0)), False)
    member = (model.slot[routes] == slots[:, None]).astype(float)
    grows = (model.alpha > 0.0) & (model.beta > 0.0)
    on = model.on_road[routes]
    if q == 0.0:
        held = on[:, grows].T if model.kappa > 0.0 else np.zeros((0, len(routes)))
        moves = _null_space(np.vstack([held[held.any(axis=1)], member]))
        return TieSet(routes, moves, False)
    bent = (on * slope[0]) @ on.T
    weight = np.diag(1.0 + q * time[0, routes]) + q * flows[routes][:, None] * bent
    scale = max(1.0, float(model.kappa * np.abs(bent).max()))
    # An empty road's time starts to grow with slope 0; only its flow tells that it would.
    empty = grows & (slope[0] <= 1e-12 * model.free_flow_h / model.capacity) & on.any(axis=0)
    matrix = np.block(
        [
            [model.kappa * bent / scale, -member.T],
            [member @ weight, np.zeros((len(slots), len(slots)))],
            [on[:, empty].T, np.zeros((int(empty.sum()), len(slots)))],
        ]
    )
    return TieSet(routes, _null_space(matrix)[: len(routes)], True)


def _null_space(matrix: Array) -> Array:
    """Orthonormal basis (columns) of the null space."""
    _, values, right = np.linalg.svd(matrix)
    rank = int((values > RANK * values.max()).sum())
    basis = right[rank:].T
    return np.where(np.abs(basis) > 1e-13, basis, 0.0)


def best_tie(users: Users, t: int, flows: Array, prices: Array, incoming: Array, rule: TieRule) -> Array:
    """The favoured split (R,) among the ties of an equilibrium; the equilibrium itself if it is alone."""
    ties = tie_set(users, flows, prices)
    if ties.alone or not _matters(users, ties, rule):
        return flows
    moved = flows.copy()
    moved[ties.routes] = _extreme(users, ties, flows, rule)
    if ties.curved:
        moved = users.solve(t, prices[None], incoming[None], moved[None])[0][0]
    return moved


def _matters(users: Users, ties: TieSet, rule: TieRule) -> bool:
    """Whether a move changes what is favoured, or a station's load where limits are given."""
    favour = rule.favour[ties.routes]
    if np.abs(favour @ ties.moves).max() > 1e-12 * (1e-300 + np.abs(favour).max()):
        return True
    return rule.capacity_kw is not None and load_moves(users, ties)


def load_moves(users: Users, ties: TieSet) -> bool:
    """Whether a move changes a station's load."""
    plan = users.model.plan_kwh[ties.routes]
    return bool(np.abs(plan.T @ ties.moves).max() > 1e-10 * (1.0 + plan.max()))


def _extreme(users: Users, ties: TieSet, flows: Array, rule: TieRule) -> Array:
    """The flows of the tied routes that the linear program over the moves ends at."""
    now, favour = flows[ties.routes], rule.favour[ties.routes]
    plan = users.model.plan_kwh[ties.routes]
    model = LinearModel(name="ties", maximise=True)
    size = ties.moves.shape[1]
    step = model.add_variables([f"move[{i}]" for i in range(size)], -math.inf, math.inf)
    for k, row, w in zip(ties.routes, ties.moves, now, strict=True):
        model.add_row(f"flow[{k}]", step, row, -w, math.inf)
    over: list[int] = []
    if rule.capacity_kw is not None:
        load = flows @ users.model.plan_kwh
        for m in np.flatnonzero(plan.any(axis=0)):
            extra = model.add_variable(f"over[{m}]")
            over.append(extra)
            model.add_row(
                f"capacity[{m}]",
                [*step, extra],
                [*(plan[:, m] @ ties.moves), -1.0],
                -math.inf,
                float(rule.capacity_kw[m] - load[m]),
            )
    session = open_session(model)
    cost = np.zeros(model.columns)
    if over and (load > rule.capacity_kw).any():
        cost[over] = -1.0
        session.set_objective(cost, maximise=True)
        least = session.solve()
        if least.x is None:
            return np.asarray(now)
        # No excess stays no excess; where some is unavoidable, its total may not grow.
        session.add_row("excess", np.array(over), np.ones(len(over)), -math.inf, float(least.x[over].sum()))
    elif over:
        session.set_bounds(np.array(over), np.zeros(len(over)), np.zeros(len(over)))
    cost[:] = 0.0
    gain = favour @ ties.moves
    # rounding errors as an objective make HiGHS end without a status
    cost[step] = np.where(np.abs(gain) > 1e-12 * np.abs(favour).max(), gain, 0.0)
    session.set_objective(cost, maximise=True)
    best = session.solve()
    session.close()
    if best.status != "optimal" or best.x is None:
        return np.asarray(now)
    return np.maximum(now + ties.moves @ best.x[:size], 0.0)


def load_extremes(users: Users, flows: Array, prices: Array) -> tuple[Array, Array]:
    """Least and largest station loads (M,), kW, over the ties of an equilibrium (R,) (q = 0: exact)."""
    ties = tie_set(users, flows, prices)
    load = flows @ users.model.plan_kwh
    low, high = load.copy(), load.copy()
    if ties.alone or not load_moves(users, ties):
        return low, high
    for m in range(len(load)):
        energy = users.model.plan_kwh[:, m]
        change = _extreme(users, ties, flows, TieRule(-energy)) - flows[ties.routes]
        low[m] += float(energy[ties.routes] @ change)
        change = _extreme(users, ties, flows, TieRule(energy)) - flows[ties.routes]
        high[m] += float(energy[ties.routes] @ change)
    return low, high
