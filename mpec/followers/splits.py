"""The leader's favourite (or most feared) split among the ties of an hour, for many price vectors at once.

The leader's profit of an hour is linear in the split at a given electricity price; the price follows from
the loads. So: the best split at the price of the last one, led back to an equilibrium, kept if it is better
(less excess over the stations' limits first, then more profit), and again while the price moves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mpec.followers.ties import TieRule, extreme_split, like_excess, moves_matter, tie_sets
from mpec.followers.users_model import UsersModel
from mpec.followers.wardrop import equilibria

Array = np.ndarray[Any, Any]

ROUNDS = 12
"""So often a split is chosen again at the electricity price that the last one led to, or along a curved set."""

LED_BACK = 15
"""Rounds in which a split must have become an equilibrium, or it is given up: 60 took two thirds of the time of a swarm
that had gathered on ties."""

SAME = 1e-10
"""Profits within this share of each other count as equal."""


def favoured_splits(
    model: UsersModel,
    flows: Array,
    prices: Array,
    fixed: Array,
    demand: Array,
    electricity: Callable[[Array, Array], Array],
    capacity_kw: Array | None,
    sign: float,
) -> Array:
    """Flows (K, R) of the favoured ties of equilibria (K, R).

    prices (K, M); fixed (K, R) and demand (K, slots) as in `equilibria`; electricity(rows, loads (n, M))
    gives the prices (n, M) that the leader pays in rows of the batch; sign +1 for the leader, -1 against.
    """
    best = flows.copy()
    open_rows = np.arange(len(best))
    paid = np.zeros(prices.shape)
    key = np.zeros((len(best), 2))
    least = np.zeros(len(best))
    judged = np.zeros(len(best), bool)
    for _ in range(ROUNDS):
        sets = tie_sets(model, best[open_rows], fixed[open_rows])
        open_rows = open_rows[[not ties.alone for ties in sets]]
        sets = [ties for ties in sets if not ties.alone]
        if not len(open_rows):
            break
        new = open_rows[~judged[open_rows]]
        if len(new):
            paid[new], key[new] = _judge(model, best[new], prices[new], new, electricity, capacity_kw, sign)
            judged[new] = True
            least[new] = key[new, 0]
        moved, rows, curved = [], [], []
        for k, ties in zip(open_rows, sets, strict=True):
            rule = TieRule(sign * (model.plan_kwh @ (prices[k] - paid[k])), capacity_kw)
            if moves_matter(model, ties, rule, best[k] @ model.plan_kwh):
                split = extreme_split(model, ties, best[k], rule)
                if np.abs(split - best[k]).max() > 1e-9 * split.max():
                    moved.append(split)
                    rows.append(k)
                    curved.append(ties.curved)
        if not rows:
            break
        at, tried = np.array(rows), np.array(moved)
        if any(curved):
            tried, gap = equilibria(model, fixed[at], demand[at], tried, rounds=LED_BACK)
            tried = np.where((gap <= 1e-10)[:, None], tried, best[at])
        price, worth = _judge(model, tried, prices[at], at, electricity, capacity_kw, sign)
        less, more = worth[:, 0] - key[at, 0], worth[:, 1] - key[at, 1]
        least[at] = np.maximum(least[at], worth[:, 0])
        room = like_excess(-least[at])
        better = (less > room) | ((worth[:, 0] >= least[at] - room) & (more > 0.0))
        changed = np.abs(price - paid[at]).max(axis=1) > 1e-12
        # On a curved set the next tangent may lead further, at the same electricity price too.
        further = (less > room) | (more > SAME * np.abs(key[at, 1]))
        keep = changed | (np.array(curved) & further)
        at, keep = at[better], keep[better]
        best[at], paid[at], key[at] = tried[better], price[better], worth[better]
        open_rows = at[keep]
        if not len(open_rows):
            break
    return best


def best_splits(
    model: UsersModel, flows: Array, fixed: Array, demand: Array, favour: Array, capacity_kw: Array | None
) -> Array:
    """Flows (K, R) of the ties of equilibria (K, R) with least excess, then the largest favour . w, (R,)."""
    best = flows.copy()
    for k, ties in enumerate(tie_sets(model, flows, fixed)):
        rule = TieRule(favour, capacity_kw)
        if moves_matter(model, ties, rule, flows[k] @ model.plan_kwh):
            split = extreme_split(model, ties, flows[k], rule)
            if ties.curved:
                led, gap = equilibria(
                    model, fixed[k : k + 1], demand[k : k + 1], split[None], rounds=LED_BACK
                )
                split = led[0] if gap[0] <= 1e-10 else flows[k]
            best[k] = split
    return best


def _judge(
    model: UsersModel,
    flows: Array,
    prices: Array,
    rows: Array,
    electricity: Callable[[Array, Array], Array],
    capacity_kw: Array | None,
    sign: float,
) -> tuple[Array, Array]:
    """Electricity prices (n, M) and what is maximised (n, 2): minus the excess [kW], sign * profit."""
    load = flows @ model.plan_kwh
    paid = electricity(rows, load)
    over = np.zeros(len(flows))
    if capacity_kw is not None:
        # Excess within the rounding of a limit that a split was led to is none.
        over = np.maximum(load - capacity_kw * (1.0 + 1e-9), 0.0).sum(axis=1)
    return paid, np.stack([-over, sign * ((prices - paid) * load).sum(axis=1)], axis=1)
