"""Newton's method on the users' complementarity problem: the answer of the problem linearised at a state.

At flows w with costs c, road slopes t' and weights m_k = 1 + q T_k, find f >= 0 and u with

    0 <= f_k  _|_  c_k + kappa sum_a on[k, a] t'_a (x_a(f) - x_a(w)) - u_rs >= 0,
    sum_{k in rs} m_k f_k + q sum_{k in rs} w_k sum_a on[k, a] t'_a (x_a(f) - x_a(w)) = D_rs.

Which routes are used is guessed, the equations solved and the guess corrected until it is right. A few
bold corrections come first (primal-dual active set: all wrong signs at once); where they don't settle, the
patient way follows (primal active set: go towards the solution until a route is empty and drop it, then add
the cheapest route left out), which ends for certain at q = 0, where the problem is the minimum of a convex
quadratic model of Beckmann's potential.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mpec.followers.state import State
from mpec.followers.users_model import UsersModel

Array = np.ndarray[Any, Any]

PROXIMAL = 1e-6
"""Extra curvature, relative: makes the equations regular where used routes are linearly dependent. It
vanishes with the step, so it does not move the answer. With 1e-11 rounding moved flows along ties by up to
a thousandth, and then the answers of a batch and of its rows alone differed."""


def linearised_answer(model: UsersModel, state: State, demand: Array) -> Array:
    """Flows (K, R) that solve the linearised problem, or a non-negative guess where it did not settle."""
    problem = _Linearised(model, state, demand)
    alive = (demand > 0.0)[:, model.slot]
    answer = np.where(alive, state.w, 0.0)
    open_rows = _boldly(problem, answer, alive, np.arange(len(answer)))
    if len(open_rows):
        answer[open_rows] = np.where(alive, state.w, 0.0)[open_rows]
        _patiently(problem, answer, alive, open_rows)
    return np.maximum(answer, 0.0)


def _boldly(problem: _Linearised, answer: Array, alive: Array, todo: Array, guesses: int = 6) -> Array:
    """Primal-dual active set on the rows ``todo`` of ``answer`` (in place); returns the rows left open."""
    used = (answer > 0.0) & alive
    for _ in range(guesses):
        found, extra = problem.solve(todo, used[todo])
        answer[todo] = found
        wrong = np.where(used[todo], found < 0.0, extra < -1e-13 * problem.size[todo]) & alive[todo]
        going = wrong.any(axis=1)
        todo = todo[going]
        if not len(todo):
            break
        used[todo] ^= wrong[going]
        _keep_one(problem.model, used, extra[going], todo, alive)
    return todo


def _patiently(problem: _Linearised, answer: Array, alive: Array, todo: Array, guesses: int = 60) -> None:
    """Primal active set on the rows ``todo`` of ``answer`` (in place), one route in or out at a time."""
    used = (answer > 0.0) & alive
    for _ in range(guesses):
        found, extra = problem.solve(todo, used[todo])
        now = answer[todo]
        fall = used[todo] & (found < 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(fall, now / (now - found), np.inf)
        size = np.minimum(room.min(axis=1, keepdims=True), 1.0)
        answer[todo] = np.where(used[todo], now + size * (found - now), 0.0)
        blocked = fall & (room <= size * (1.0 + 1e-12))
        extra = np.where(used[todo] | ~alive[todo], np.inf, extra)
        enter = ~fall.any(axis=1, keepdims=True) & (extra < -1e-13 * problem.size[todo])
        enter &= extra <= extra.min(axis=1, keepdims=True)
        answer[todo] = np.where(blocked, 0.0, answer[todo])
        used[todo] = (used[todo] & ~blocked) | enter
        todo = todo[(blocked | enter).any(axis=1)]
        if not len(todo):
            break


def _keep_one(model: UsersModel, used: Array, extra: Array, rows: Array, alive: Array) -> None:
    """Give O-D pairs that lost all their routes the one that costs least in the model."""
    count = np.add.reduceat(used[rows].astype(int), model.starts, axis=1)
    lonely = (count == 0)[:, model.slot] & alive[rows]
    if lonely.any():
        least = np.minimum.reduceat(extra, model.starts, axis=1)[:, model.slot]
        used[rows] |= lonely & (extra <= least)


class _Linearised:
    """The data of the linearised problem of every row, and its equations for a guess of the used routes."""

    def __init__(self, model: UsersModel, state: State, demand: Array) -> None:
        self.model, self.state = model, state
        self.q = model.residual_share
        flow = state.w @ model.on_road
        drift = (flow * state.slope) @ model.on_road_t  # (K, R): sum_a on t' x(w)
        self.linear = state.cost - model.kappa * drift
        self.weight = 1.0 + self.q * state.time
        self.right = demand
        self.dead = demand <= 0.0
        self.size = np.abs(state.cost)
        if self.q > 0.0:
            self.right = demand + self.q * model.slot_sum(state.w * drift)
            by_slot = np.add.reduceat(state.w[:, :, None] * model.on_road, model.starts, axis=1)
            self.spread = self.q * by_slot * state.slope[:, None, :]  # (K, slots, A)
        bend = model.kappa * (state.slope @ model.on_road_t).max(axis=1)
        # Without congestion costs alone decide; any small curvature in money per veh/h will do then.
        money = 1e-3 * self.size.max(axis=1) / np.maximum(state.w.max(axis=1), 1e-300)
        self.proximal = PROXIMAL * np.where(bend > 0.0, bend, money)

    def solve(self, rows: Array, used: Array) -> tuple[Array, Array]:
        """Flows (n, R), costs equal on the used routes and no flow elsewhere; extra cost c - u (n, R)."""
        model, slots = self.model, len(self.model.starts)
        size = int(used.sum(axis=1).max())
        order = np.argsort(~used, axis=1, kind="stable")[:, :size]
        line = np.arange(len(rows))[:, None]
        real = used[line, order]
        roads = model.on_road[order] * real[:, :, None]
        bent = roads * self.state.slope[rows][:, None, :]
        member = ((model.slot[order][:, :, None] == np.arange(slots)) & real[:, :, None]).astype(float)
        old, linear, weight = (v[rows][line, order] * real for v in (self.state.w, self.linear, self.weight))
        matrix = np.zeros((len(rows), size + slots, size + slots))
        matrix[:, :size, :size] = model.kappa * (bent @ roads.transpose(0, 2, 1))
        index = np.arange(size)
        proximal = self.proximal[rows][:, None]
        matrix[:, index, index] += np.where(real, proximal, 1.0)
        matrix[:, :size, size:] = -member
        lower = member.transpose(0, 2, 1) * weight[:, None, :]
        if self.q > 0.0:
            lower = lower + self.spread[rows] @ roads.transpose(0, 2, 1)
        matrix[:, size:, :size] = lower
        index = np.arange(slots)
        matrix[:, size + index, size + index] += self.dead[rows]
        right = np.concatenate(
            [proximal * old - linear, np.where(self.dead[rows], 0.0, self.right[rows])], axis=1
        )
        solution = _solve(matrix, right)
        found = np.zeros((len(rows), len(model.pair)))
        np.put_along_axis(found, order, solution[:, :size] * real, axis=1)
        least = solution[:, size:]
        moved = ((found @ model.on_road) * self.state.slope[rows]) @ model.on_road_t
        extra = self.linear[rows] + model.kappa * moved - least[:, model.slot]
        return found, extra


def _solve(matrix: Array, right: Array) -> Array:
    """Solutions (n, size) of a stack of square systems; least squares where one is singular."""
    try:
        found = np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        pairs = zip(matrix, right, strict=True)
        found = np.stack([np.linalg.lstsq(a, b, rcond=None)[0] for a, b in pairs])
    return np.where(np.isfinite(found), found, 0.0)
