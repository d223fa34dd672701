"""Independent truth for small games: the best of many prices, each answered exactly by the followers.

No relaxation, no bound, no KKT: a grid over the price box (all stations and periods), then pattern searches from
its best points. What is found is a point of the true game, so no valid upper bound may lie below it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from formulations.prices import on_grid, price_box
from instances.model import Instance
from mpec.followers.answer import Follower

Array = np.ndarray

OVER = 1e-9
"""A station counts as within its limit up to this share of it."""


@dataclass(frozen=True)
class Found:
    """The best profit (None if no price tried keeps the stations' limits), its prices (M, T), prices
    tried."""

    profit: float | None
    prices: Array | None
    tried: int


def within_caps(instance: Instance, prices: Array) -> Array:
    """Prices (K, M, T) clipped to the box and drawn towards its floor until every mean cap holds, then put on their
    grids."""
    low, high = price_box(instance)
    out = np.clip(prices, low, high)
    for m, station in enumerate(instance.stations):
        if station.price_mean_max is None:
            continue
        mean, floor = out[:, m].mean(axis=1), station.price_min
        share = np.where(
            mean > station.price_mean_max,
            (station.price_mean_max - floor) / np.maximum(mean - floor, 1e-300),
            1.0,
        )
        out[:, m] = floor + share[:, None] * (out[:, m] - floor)
    return np.asarray(on_grid(instance, out))


def grid(instance: Instance, count: int) -> Array:
    """About ``count`` prices (K, M, T) on a regular grid over the box, corners included."""
    low, high = price_box(instance)
    free = high > low
    size = max(int(free.sum()), 1)
    each = max(2, int(count ** (1.0 / size)))
    steps = np.linspace(0.0, 1.0, each)
    chosen = np.array(list(itertools.product(steps, repeat=int(free.sum()))))
    shares = np.zeros((len(chosen), *low.shape))
    shares[:, free] = chosen
    return np.asarray(low + shares * (high - low))


def best_price(
    instance: Instance,
    follower: Follower,
    *,
    count: int = 500,
    starts: Sequence[Array] = (),
    searches: int = 3,
    seed: int = 0,
) -> Found:
    """The best of a grid of about ``count`` prices and of pattern searches from ``starts`` and its best
    points."""
    rng = np.random.default_rng(seed)
    low, high = price_box(instance)
    cloud = [grid(instance, count // 2), low + rng.random((count - count // 2, *low.shape)) * (high - low)]
    trial = within_caps(instance, np.concatenate([*cloud, *[np.asarray(p, float)[None] for p in starts]]))
    value, tried = _values(instance, follower, trial), len(trial)
    order = np.argsort(-value, kind="stable")
    chosen = [trial[k] for k in order[:searches]] + [trial[len(trial) - 1 - i] for i in range(len(starts))]
    best = Found(float(value[order[0]]), trial[order[0]], tried)
    for start in chosen:
        found = _pattern_search(instance, follower, start, rng)
        tried += found.tried
        if found.profit is not None and best.profit is not None and found.profit > best.profit:
            best = found
    if best.profit is None or not np.isfinite(best.profit):
        return Found(None, None, tried)
    return Found(best.profit, best.prices, tried)


def _values(instance: Instance, follower: Follower, prices: Array) -> Array:
    """Profit of every price (K, M, T), -inf where a station's limit is broken."""
    profit, excess = follower.evaluate(prices)
    limit = OVER * float(follower.capacity_kw.max()) * instance.period_h
    return np.where(excess <= limit, profit, -np.inf)


def _pattern_search(instance: Instance, follower: Follower, start: Array, rng: np.random.Generator) -> Found:
    """Steps along every coordinate, random directions and their pairs, halved when nothing is better."""
    low, high = price_box(instance)
    width = high - low
    size = low.size
    now, step, tried = start, 0.1, 1
    value = float(_values(instance, follower, now[None])[0])
    while step > 2e-6:
        unit = np.eye(size).reshape(size, *low.shape)
        sides = rng.choice([-1.0, 0.0, 1.0], (2 * size, *low.shape))
        moves = np.concatenate([unit, -unit, sides]) * width * step
        trial = within_caps(instance, now + moves)
        values = _values(instance, follower, trial)
        tried += len(trial)
        k = int(np.argmax(values))
        if values[k] > value:
            now, value = trial[k], float(values[k])
        else:
            step *= 0.35
    return Found(value, now, tried)
