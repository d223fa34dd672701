"""Path flows of a plain network and the two moves that level their costs.

Every O-D pair has a few paths; an origin's paths are kept together as a dense 0/1 matrix. `sweep` shifts
vehicles from dearer paths to the cheapest one, origin after origin, with an exact line search on Beckmann's
potential (global convergence). `newton` solves the optimality conditions of all paths in use at once
(fast convergence near the end).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mpec.road_network import RoadNetwork

Array = np.ndarray[Any, Any]


@dataclass
class OriginPaths:
    """Paths of one origin: on (P, A) 0/1, flow (P,), pair (P,) sorted local O-D index, demand (pairs,)."""

    on: Array
    flow: Array
    pair: Array
    demand: Array

    @property
    def starts(self) -> Array:
        """Index of the first path of every O-D pair."""
        return np.searchsorted(self.pair, np.arange(len(self.demand)))

    def add(self, pair: Array, on: Array, flow: Array) -> None:
        """Append paths and sort by O-D pair again."""
        self.on = np.vstack([self.on, on])
        self.flow = np.concatenate([self.flow, flow])
        self.pair = np.concatenate([self.pair, pair])
        order = np.argsort(self.pair, kind="stable")
        self.on, self.flow, self.pair = self.on[order], self.flow[order], self.pair[order]

    def keep(self, mask: Array) -> None:
        """Drop the other paths."""
        self.on, self.flow, self.pair = self.on[mask], self.flow[mask], self.pair[mask]

    def rescale(self) -> None:
        """Make the flows of every O-D pair add up to its demand again."""
        total = np.add.reduceat(self.flow, self.starts)
        self.flow *= (self.demand / total)[self.pair]


def link_flow(origins: list[OriginPaths], roads: int) -> Array:
    """(A,) flows of the roads."""
    total = np.zeros(roads)
    for paths in origins:
        total += paths.flow @ paths.on
    return total


def excess_cost(origins: list[OriginPaths], cost: Array, least: list[Array] | None = None) -> float:
    """sum_paths f (c - u): u the least cost over the paths kept, or ``least`` per origin (true shortest)."""
    total = 0.0
    for i, paths in enumerate(origins):
        c = paths.on @ cost
        u = np.minimum.reduceat(c, paths.starts) if least is None else least[i]
        total += float(paths.flow @ (c - u[paths.pair]))
    return total


def line_search(network: RoadNetwork, flow: Array, change: Array, tries: int = 3) -> float:
    """Step in (0, 1] where the potential stops falling along ``change`` (regula falsi on cost . change)."""

    def derivative(size: float) -> float:
        return float(network.cost(flow + size * change) @ change)

    at_high = derivative(1.0)
    if at_high <= 0.0:
        return 1.0
    low, high, at_low = 0.0, 1.0, derivative(0.0)
    for _ in range(tries):
        guess = low + (high - low) * at_low / (at_low - at_high) if at_low < 0.0 else 0.5 * (low + high)
        value = derivative(guess)
        if value > 0.0:
            high, at_high = guess, value
        else:
            low, at_low = guess, value
    return low if low > 0.0 else high


def sweep(network: RoadNetwork, origins: list[OriginPaths], flow: Array) -> Array:
    """Shift to the cheapest paths, origin after origin; returns the new road flows (A,)."""
    for paths in origins:
        cost, slope = network.cost_and_slope(flow)
        path_cost = paths.on @ cost
        starts = paths.starts
        excess = path_cost - np.minimum.reduceat(path_cost, starts)[paths.pair]
        place = np.where(excess <= 0.0, np.arange(len(excess)), len(excess))
        best = np.minimum.reduceat(place, starts)
        if np.all((excess <= 0.0) | (paths.flow == 0.0)):
            continue
        top = paths.on[best]
        own, shared = paths.on @ slope, (paths.on * top[paths.pair]) @ slope
        bend = np.maximum(own + (top @ slope)[paths.pair] - 2.0 * shared, 0.0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            moved = np.minimum(paths.flow, np.where(excess > 0.0, excess / bend, 0.0))
        step = -moved
        step[best] += np.add.reduceat(moved, starts)
        change = step @ paths.on
        size = line_search(network, flow, change)
        paths.flow = np.maximum(paths.flow + size * step, 0.0)
        flow = flow + size * change
    return link_flow(origins, network.roads)


def newton(network: RoadNetwork, origins: list[OriginPaths], flow: Array, guesses: int = 20) -> Array | None:
    """One step to the minimum of the potential's quadratic model over all paths kept; None without progress.

    The model's bounds f >= 0 are met by guessing the paths in use, solving the equality-constrained problem
    and correcting the guess (primal-dual active set). O-D pairs with one path only are left out. The model
    is convex, so its minimum is a direction in which the potential falls; a line search does the rest.
    """
    cost, slope = network.cost_and_slope(flow)
    chosen = [np.bincount(p.pair, minlength=len(p.demand))[p.pair] > 1 for p in origins]
    on = np.vstack([p.on[mask] for p, mask in zip(origins, chosen, strict=True)])
    if not len(on):
        return None
    flows = np.concatenate([p.flow[mask] for p, mask in zip(origins, chosen, strict=True)])
    names = np.concatenate(
        [1j * i + p.pair[mask] for i, (p, mask) in enumerate(zip(origins, chosen, strict=True))]
    )
    _, pair = np.unique(names, return_inverse=True)
    order = np.argsort(pair, kind="stable")
    target = np.empty(len(flows))
    target[order] = _model_minimum(on[order], flows[order], pair[order], cost, slope, guesses)
    step = target - flows
    change = step @ on
    if not change @ cost < 0.0:
        return None
    size = line_search(network, flow, change)
    done = 0
    for paths, mask in zip(origins, chosen, strict=True):
        count = int(mask.sum())
        paths.flow[mask] = np.maximum(paths.flow[mask] + size * step[done : done + count], 0.0)
        done += count
    return link_flow(origins, network.roads)


def _model_minimum(on: Array, flow: Array, pair: Array, cost: Array, slope: Array, guesses: int) -> Array:
    """Flows (n,) that minimise c.f + f Q f / 2 near ``flow`` with each pair's total kept and f >= 0."""
    starts = np.searchsorted(pair, np.arange(int(pair[-1]) + 1))
    total = np.add.reduceat(flow, starts)
    bent = on * np.sqrt(slope)
    quadratic = bent @ bent.T
    linear = on @ cost - quadratic @ flow
    used, found = flow > 0.0, flow
    for _ in range(guesses):
        found, excess = _equal_costs(quadratic, linear, used, found, pair, starts, total)
        wrong = np.where(used, found < 0.0, excess < -1e-13 * np.abs(linear))
        if not wrong.any():
            break
        used = used ^ wrong
        # Every pair keeps a path: the one that the model likes best.
        lonely = np.add.reduceat(used.astype(int), starts) == 0
        used[_first_smallest(excess, pair, starts)[lonely]] = True
    found = np.maximum(found, 0.0)
    return np.asarray(found * (total / np.add.reduceat(found, starts))[pair])


def _first_smallest(values: Array, pair: Array, starts: Array) -> Array:
    """Index of the first smallest value of every pair."""
    place = np.where(values <= np.minimum.reduceat(values, starts)[pair], np.arange(len(values)), len(values))
    return np.asarray(np.minimum.reduceat(place, starts))


def _equal_costs(
    quadratic: Array, linear: Array, used: Array, found: Array, pair: Array, starts: Array, total: Array
) -> tuple[Array, Array]:
    """Flows (any sign) at which a pair's used paths cost the same in the model, and each path's extra cost.

    The path with the largest flow of every pair takes up the others' changes, which leaves a positive
    definite system in the others (regularised: paths may be linearly dependent).
    """
    base = _first_smallest(np.where(used, -found, np.inf), pair, starts)
    others = used.copy()
    others[base] = False
    at = np.flatnonzero(others)
    new = np.zeros_like(found)
    new[base] = total
    slope_at = linear + quadratic[:, base] @ total
    if len(at):
        by = base[pair[at]]
        cross = quadratic[np.ix_(at, by)]
        matrix = quadratic[np.ix_(at, at)] - cross - cross.T + quadratic[np.ix_(by, by)]
        size = np.sqrt(np.maximum(np.einsum("ii->i", matrix), np.finfo(float).tiny))
        matrix /= size[:, None] * size
        matrix[np.arange(len(at)), np.arange(len(at))] = 1.0 + 1e-11
        new[at] = np.linalg.solve(matrix, (slope_at[by] - slope_at[at]) / size) / size
        np.subtract.at(new, by, new[at])
    price = linear + quadratic @ new
    return new, price - price[base][pair]
