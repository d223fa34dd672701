"""Users' equilibrium of a plain road network (no charging): what `mpec assign` does.

Minimise Beckmann's potential sum_a int_0^{x_a} c_a over path flows that serve the trips. Paths are found by
Dijkstra's algorithm when they are cheaper than the ones kept (column generation); flows are levelled by the
two moves of `path_flows`. Relative gap = (sum_a x_a c_a - sum_od trips u_od) / sum_a x_a c_a with u_od the
true shortest path cost, computed as sum_paths f (c - u), which loses no digits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

from mpec.network_files import read_network, read_trips
from mpec.path_flows import OriginPaths, excess_cost, link_flow, newton, sweep
from mpec.road_network import RoadNetwork, TripTable

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Assignment:
    """flow, cost (A,) of the roads; od_cost (D,) least cost of every O-D pair of the trips; potential;
    total_cost = sum x c (TSTT); relative_gap; converged: whether the gap asked for was reached."""

    network: RoadNetwork
    trips: TripTable
    flow: Array
    cost: Array
    od_cost: Array
    potential: float
    total_cost: float
    relative_gap: float
    converged: bool
    iterations: int
    paths: int
    seconds: float


class PathSearch:
    """Shortest paths from all origins; zones closed to through traffic are split into a start and an end."""

    def __init__(self, network: RoadNetwork, trips: TripTable) -> None:
        self.network = network
        count = len(network.nodes)
        self.origins = np.unique(trips.origin)
        closed = ~network.through
        # Node i + count is where trips from a closed zone i start; nothing leads into it.
        tail = np.where(closed[network.tail], network.tail + count, network.tail)
        self.sources = np.where(closed[self.origins], self.origins + count, self.origins)
        self.size = 2 * count
        key = tail.astype(np.int64) * self.size + network.head
        self.order = np.argsort(key, kind="stable")
        sorted_key = key[self.order]
        self.first = np.flatnonzero(np.concatenate([[True], np.diff(sorted_key) > 0]))
        self.keys = sorted_key[self.first]
        pointer = np.searchsorted(self.keys // self.size, np.arange(self.size + 1))
        self.graph = sp.csr_matrix(
            (np.ones(len(self.keys)), (self.keys % self.size).astype(np.int32), pointer),
            shape=(self.size, self.size),
        )
        ends = np.append(self.first[1:], len(self.order))
        self.parallel = bool(np.any(ends - self.first > 1))

    def run(self, cost: Array) -> tuple[Array, Array, Array]:
        """Distances and predecessors (origins, 2 V), and the cheapest road of every pair of neighbours."""
        sorted_cost = cost[self.order]
        if self.parallel:
            least = np.minimum.reduceat(sorted_cost, self.first)
            group = np.cumsum(np.bincount(self.first, minlength=len(self.order))) - 1
            place = np.where(sorted_cost <= least[group], np.arange(len(group)), len(group))
            road = self.order[np.minimum.reduceat(place, self.first)]
        else:
            least, road = sorted_cost, self.order
        self.graph.data = least
        distance, before = dijkstra(self.graph, indices=self.sources, return_predecessors=True)
        return distance, before, road

    def trace(self, before: Array, road: Array, origin: Array, destination: Array) -> Array:
        """0/1 matrix (n, A) of the shortest paths of O-D pairs given by origin position and node."""
        on = np.zeros((len(origin), self.network.roads))
        here, row = destination.copy(), np.arange(len(origin))
        while len(row):
            previous = before[origin[row], here].astype(np.int64)
            on[row, road[np.searchsorted(self.keys, previous * self.size + here)]] = 1.0
            going = previous != self.sources[origin[row]]
            row, here = row[going], previous[going]
        return on


def assign(network: RoadNetwork, trips: TripTable, *, gap: float = 1e-12, rounds: int = 200) -> Assignment:
    """The users' equilibrium to a relative gap; stops after ``rounds`` path searches at the latest.

    Raises ValueError when there is no way from an origin to a destination with trips.
    """
    began = time.perf_counter()
    if not len(trips.flow):
        nothing = np.zeros(network.roads)
        cost = network.cost(nothing)
        return Assignment(network, trips, nothing, cost, np.zeros(0), 0.0, 0.0, 0.0, True, 0, 0, 0.0)
    search = PathSearch(network, trips)
    origins, flow = _first_paths(network, trips, search)
    searches = 0
    while True:
        cost = network.cost(flow)
        least = _new_paths(search, trips, origins, cost)
        total = float(flow @ cost)
        relative = max(excess_cost(origins, cost, least), 0.0) / total if total > 0.0 else 0.0
        searches += 1
        if relative <= gap or searches >= rounds:
            break
        flow = _level(network, origins, flow)
    return Assignment(
        network=network,
        trips=trips,
        flow=flow,
        cost=cost,
        od_cost=np.concatenate(least),
        potential=network.potential(flow),
        total_cost=total,
        relative_gap=relative,
        converged=relative <= gap,
        iterations=searches,
        paths=int(sum((p.flow > 0.0).sum() for p in origins)),
        seconds=time.perf_counter() - began,
    )


def _level(network: RoadNetwork, origins: list[OriginPaths], flow: Array) -> Array:
    """Sweeps, then Newton steps as long as they help; unused dear paths are forgotten."""
    for _ in range(3):
        flow = sweep(network, origins, flow)
    for _ in range(6):
        better = newton(network, origins, flow)
        if better is None:
            break
        flow = better
    cost = network.cost(flow)
    for paths in origins:
        path_cost = paths.on @ cost
        least = np.minimum.reduceat(path_cost, paths.starts)[paths.pair]
        paths.keep((paths.flow > 0.0) | (path_cost <= least * (1.0 + 1e-9)))
        paths.rescale()
    return link_flow(origins, network.roads)


def _first_paths(
    network: RoadNetwork, trips: TripTable, search: PathSearch
) -> tuple[list[OriginPaths], Array]:
    """Origin after origin loaded on the shortest paths at the flows so far."""
    flow, origins = np.zeros(network.roads), []
    distance, before, road = search.run(network.cost(flow))
    for i, origin in enumerate(search.origins):
        rows = trips.origin == origin
        ends, demand = trips.destination[rows], trips.flow[rows]
        lost = ~np.isfinite(distance[i, ends])
        if lost.any():
            raise ValueError(
                f"there is no way from {network.nodes[origin]} to {network.nodes[int(ends[lost][0])]}, "
                "which has trips"
            )
        if i:
            distance, before, road = search.run(network.cost(flow))
        on = search.trace(before, road, np.full(len(ends), i), ends)
        paths = OriginPaths(on, demand.copy(), np.arange(len(ends)), demand)
        origins.append(paths)
        flow = flow + demand @ on
    return origins, flow


def _new_paths(search: PathSearch, trips: TripTable, origins: list[OriginPaths], cost: Array) -> list[Array]:
    """Least costs of every origin's O-D pairs; paths cheaper than the kept ones are added with flow 0."""
    distance, before, road = search.run(cost)
    least = []
    for i, (origin, paths) in enumerate(zip(search.origins, origins, strict=True)):
        ends = trips.destination[trips.origin == origin]
        shortest = distance[i, ends]
        kept = np.minimum.reduceat(paths.on @ cost, paths.starts)
        least.append(np.minimum(shortest, kept))
        new = np.flatnonzero(shortest < kept * (1.0 - 1e-15) - 1e-300)
        if len(new):
            on = search.trace(before, road, np.full(len(new), i), ends[new])
            paths.add(new, on, np.zeros(len(new)))
    return least


def assign_files(net: Path, trips: Path, *, gap: float = 1e-12, period: int | None = None) -> Assignment:
    """`assign` on files: TNTP net and trips, or roads.csv and trips.csv; errors as in the readers."""
    network = read_network(net)
    return assign(network, read_trips(trips, network, period=period), gap=gap)
