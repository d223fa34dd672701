"""Prices near given ones whose profit does not rest on the followers' ties.

The leader's optimum sits on ties: drivers who are indifferent, and prices at a kink of the operator's cost.
A small change of the prices settles the ties one way or the other. Hour by hour forward, the best of many
price vectors within ``radius`` is taken, each judged by the *worst* of its answers; so what is lost against the
optimistic profit is the price of certainty. Near is meant literally: no price moves by more than the radius (but for
rounding to its step, where it has one).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from formulations.prices import on_grid, price_box
from instances.model import Instance
from mpec.followers.answer import Follower
from mpec.naive_policies import best_hour

Array = np.ndarray[Any, Any]

STEPS = (0.03, 0.1, 0.3, 1.0)
"""Shares of the radius by which whole stations move."""

MOST_CORNERS = 6
"""Up to so many stations every combination of lowered prices is tried."""


def robust_prices(
    instance: Instance, prices: Array, *, radius: float, tries: int = 200, seed: int = 0
) -> Array:
    """Prices (M, T) within ``radius`` of ``prices`` (M, T), in the box and under the mean caps.

    tries  price vectors an hour, the given one among them. A price is raised only where the station's mean
           cap leaves room for the radius in every hour. Raises ValueError for a negative radius.
    """
    if not radius >= 0.0:
        raise ValueError(f"the radius is {radius}; it must be >= 0")
    rng = np.random.default_rng([seed, 2])
    follower = Follower(instance, pessimistic=True)
    arriving = np.full(len(instance.pairs), instance.users.initial_residual)
    rises = raisable(instance, prices, radius)
    found = np.array(prices, float)
    for t in range(len(instance.periods)):
        trial = neighbours(instance, found[:, t], radius, tries, rises, rng, t)
        load, leaving, bill = follower.hour(t, trial, np.tile(arriving, (len(trial), 1)))
        best = best_hour(trial, load, bill, follower.capacity_kw)
        found[:, t], arriving = trial[best], leaving[best]
    return found


def raisable(instance: Instance, prices: Array, radius: float) -> Array:
    """Whether a station's prices may all rise by ``radius`` without breaking its mean cap, (M,) bool."""
    caps = [math.inf if s.price_mean_max is None else s.price_mean_max for s in instance.stations]
    return np.asarray(prices.mean(axis=1) + radius <= np.array(caps))


def neighbours(
    instance: Instance,
    prices: Array,
    radius: float,
    count: int,
    rises: Array,
    rng: np.random.Generator,
    t: int = 0,
) -> Array:
    """``count`` price vectors (n, M) of period index t around ``prices`` (M,): itself, stations and sets of them
    moved by several shares of the radius, random."""
    size = len(prices)
    moves = [np.zeros((1, size)), -np.eye(size), np.diag(rises.astype(float))]
    if size <= MOST_CORNERS:
        moves.append(-np.array(list(itertools.product((0.0, 1.0), repeat=size)))[1:])
    whole = np.unique(np.vstack(moves), axis=0)[::-1]
    whole = whole[np.argsort(np.abs(whole).sum(axis=1), kind="stable")]
    # The least step that settles a tie costs least, but how large it must be isn't known.
    structured = np.vstack([whole[:1], *(share * whole[1:] for share in STEPS)])
    random = rng.uniform(-1.0, 1.0, (max(count - len(structured), 0), size))
    random *= 10.0 ** rng.uniform(-2.0, 0.0, (len(random), 1))
    random = np.where(rises, random, -np.abs(random))
    low, high = (ends[:, t] for ends in price_box(instance))
    every = np.vstack([structured, random])[:count]
    moved = np.clip(prices + radius * every, np.minimum(low, prices), np.maximum(high, prices))
    return np.asarray(on_grid(instance, moved[:, :, None])[:, :, 0])
