"""Good prices on a grid: round what the continuous search found, then move single steps, answered exactly.

Where prices are multiples of a step, the optimum no longer sits on the followers' ties, so polish and rounding alone
lose much: next to a tie one step up may send everybody elsewhere. Moves: a price up or down, all stations of an hour
together, and (under a mean cap) a step from one hour to another. What is found is a point of the true game;
the judge checks that its prices lie on the grid.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from formulations.prices import on_grid, price_box, price_steps, searched
from mpec.followers.answer import Follower

Array = np.ndarray

SECONDS = 8.0
"""Processor seconds that one search may take."""

MOST_MOVES = 400
"""So many neighbours are answered at once; where there are more they are drawn."""

OVER = 1e-9
"""A station counts as within its limit up to this share of it."""


def grid_prices(
    follower: Follower, starts: Sequence[Array], known: float | None, *, seconds: float = SECONDS
) -> list[Array]:
    """Prices (M, T) on the grid, best first: the best roundings of ``starts`` (M, T) each, moved step by step.

    Empty where none keeps the stations' limits. ``known``: the profit of a point on the grid already found; roundings
    that stay below it by more than a tenth are left as they are.
    """
    instance, end = follower.instance, time.process_time() + seconds
    half = 0.5 * price_steps(instance)[:, None]
    tries = [
        on_grid(instance, np.clip(p + shift * half, *price_box(instance)))
        for p in starts
        for shift in (0.0, -1.0, 1.0)
    ]
    trial = np.unique(np.array(tries), axis=0)
    values = _values(follower, trial)
    best = int(np.argmax(values))
    now, value = trial[best], float(values[best])
    hopeless = known is not None and value < known - 0.1 * abs(known)
    rng = np.random.default_rng(0)
    while not hopeless and time.process_time() < end:
        moved = _neighbours(follower, now, rng)
        if not len(moved):
            break
        found = _values(follower, moved)
        best = int(np.argmax(found))
        if not found[best] > value + 1e-9 * max(abs(value), 1.0):
            break
        now, value = moved[best], float(found[best])
    return [now] if np.isfinite(value) else []


def _values(follower: Follower, prices: Array) -> Array:
    """Profits (K,) of prices (K, M, T), -inf where a station's limit is broken."""
    profit, excess = follower.evaluate(prices)
    limit = OVER * float(follower.capacity_kw.max()) * follower.instance.period_h
    return np.where(excess <= limit, profit, -np.inf)


def _neighbours(follower: Follower, prices: Array, rng: np.random.Generator) -> Array:
    """Grid prices (K, M, T) a step or two away from ``prices`` (M, T)."""
    instance = follower.instance
    low, high = price_box(instance)
    steps = price_steps(instance)
    size = np.where(steps > 0.0, steps, 0.02 * (high - low).max(axis=1)) * searched(instance)
    stations, periods = np.flatnonzero(size > 0.0).tolist(), range(prices.shape[1])
    moves = []
    for t in periods:
        for sign in (1.0, -1.0):
            for m in stations:
                move = np.zeros(prices.shape)
                move[m, t] = sign * size[m]
                moves.append(move)
                moves += [_shifted(move, m, t, other) for other in periods if other != t]
            together = np.zeros(prices.shape)
            together[stations, t] = sign * size[stations]
            moves.append(together)
    if len(moves) > MOST_MOVES:
        moves = [moves[i] for i in rng.permutation(len(moves))[:MOST_MOVES]]
    if not moves:
        return np.zeros((0, *prices.shape))
    trial = np.unique(on_grid(instance, np.clip(prices + np.array(moves), low, high)), axis=0)
    return np.asarray(trial[(trial != prices).any(axis=(1, 2))])


def _shifted(move: Array, m: int, t: int, other: int) -> Array:
    """The move of one price, taken back in another hour: the mean stays as it is."""
    pair = move.copy()
    pair[m, other] = -move[m, t]
    return pair
