"""Simple paths of an O-D pair in the order of a lower bound on their cost, best first.

Every path that visits no node twice, passes only nodes that traffic may pass, and can be driven with the
energy on board and what its stations give at most. The bound is on the cost (15) of the path with any
charging plan, any prices of the box and any congestion:

    kappa * (least time) + (least price per kWh) * (energy that must be bought)

Least times are those with background traffic only. Since paths come in this order, a caller may stop as
soon as the bound exceeds what the pair can ever have to pay, and nothing cheaper is missed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.charging_plan import ENERGY_ROUNDING, stops_by_node, time_price
from instances.model import Instance, Pair

Array = np.ndarray[Any, Any]

MOST_PATHS = 200_000
"""So many beginnings of paths are looked at per O-D pair before the search gives up."""


class TooManyPathsError(RuntimeError):
    """The search of an O-D pair was given up after `MOST_PATHS`; its route set would be incomplete."""


@dataclass(frozen=True)
class Path:
    """A path: road indices in driving order, and two lower bounds in money per vehicle.

    ``least_cost`` is on the whole cost, ``least_bill`` on the part for energy and charging time.
    """

    roads: tuple[int, ...]
    least_cost: float
    least_bill: float


@dataclass(frozen=True)
class RoadGraph:
    """What the search needs of an instance, by node number.

    leaving[node]: (road, end node) pairs; through[node]: may it be passed; charge[node]: most kWh its
    stations give in one visit; least_time (A,) h; energy (A,) kWh; least_price: money/kWh over the available
    stations, charging time included.
    """

    number: dict[str, int]
    leaving: tuple[tuple[tuple[int, int], ...], ...]
    through: tuple[bool, ...]
    charge: tuple[float, ...]
    least_time: Sequence[float]
    energy: Sequence[float]
    kappa: float
    least_price: float

    @classmethod
    def of(cls, instance: Instance, least_time: Array) -> RoadGraph:
        """The graph of an instance's roads; ``least_time`` (A,) in h."""
        names = [node.id for node in instance.nodes]
        known = dict.fromkeys(names)
        for road in instance.roads:
            known.update(dict.fromkeys((road.from_node, road.to_node)))
        number = {name: i for i, name in enumerate(known)}
        leaving: list[list[tuple[int, int]]] = [[] for _ in number]
        for index, road in enumerate(instance.roads):
            leaving[number[road.from_node]].append((index, number[road.to_node]))
        through = [True] * len(number)
        for node in instance.nodes:
            through[number[node.id]] = node.through
        charge = [0.0] * len(number)
        for name, stops in stops_by_node(instance).items():
            if name in number:
                charge[number[name]] = sum(cap for _, cap in stops)
        price = time_price(instance) + np.array([station.price_min for station in instance.stations])
        usable = [p for p, s in zip(price, instance.stations, strict=True) if s.available]
        return cls(
            number=number,
            leaving=tuple(tuple(roads) for roads in leaving),
            through=tuple(through),
            charge=tuple(charge),
            least_time=[float(t) for t in least_time],
            energy=[road.energy_kwh for road in instance.roads],
            kappa=instance.users.kappa_per_h,
            least_price=float(min(usable, default=0.0)),
        )

    def distance_to(self, target: int, weight: Sequence[float]) -> list[float]:
        """Least sum of ``weight`` from every node to the target over passable nodes (Dijkstra, backwards)."""
        entering: list[list[tuple[int, int]]] = [[] for _ in self.leaving]
        for start, roads in enumerate(self.leaving):
            for road, end in roads:
                entering[end].append((road, start))
        distance = [float("inf")] * len(self.leaving)
        distance[target] = 0.0
        queue = [(0.0, target)]
        while queue:
            reached, node = heapq.heappop(queue)
            if reached > distance[node] or (node != target and not self.through[node]):
                continue
            for road, start in entering[node]:
                longer = reached + weight[road]
                if longer < distance[start]:
                    distance[start] = longer
                    heapq.heappush(queue, (longer, start))
        return distance


# bound, order of arrival, node, visited nodes as bits, hours, kWh used, least and most kWh on board, roads
_Partial = tuple[float, int, int, int, float, float, float, float, tuple[int, ...]]


def paths_by_cost(graph: RoadGraph, pair: Pair) -> Iterator[Path]:
    """All simple paths of the pair that some charging plan makes drivable, cheapest bound first.

    Raises TooManyPathsError when more than `MOST_PATHS` partial paths were looked at.
    """
    origin, target = graph.number[pair.origin], graph.number[pair.destination]
    hours = graph.distance_to(target, graph.least_time)
    consumed = graph.distance_to(target, graph.energy)
    rounding = ENERGY_ROUNDING * (abs(pair.max_kwh) or 1.0)
    if not pair.min_kwh - rounding <= pair.initial_kwh <= pair.max_kwh + rounding:
        return
    first = graph.kappa * hours[origin] + least_bill(graph, pair, consumed[origin])
    queue: list[_Partial] = []
    if hours[origin] < float("inf"):
        start = pair.initial_kwh
        queue.append((first, 0, origin, 1 << origin, 0.0, 0.0, start, start, ()))
    pushed = taken = 0
    while queue:
        bound, _, node, visited, time, used, least, full, roads = heapq.heappop(queue)
        taken += 1
        if taken > MOST_PATHS:
            raise TooManyPathsError(f"more than {MOST_PATHS} from '{pair.origin}' to '{pair.destination}'")
        if node == target:
            yield Path(roads, bound, least_bill(graph, pair, used))
            continue
        if node != origin and not graph.through[node]:
            continue
        for road, end in graph.leaving[node]:
            if visited >> end & 1 or hours[end] == float("inf"):
                continue
            low = max(least - graph.energy[road], pair.min_kwh)
            high = min(full - graph.energy[road], pair.max_kwh)
            if low > high + rounding:
                continue
            high = min(high + graph.charge[end], pair.max_kwh)
            if end == target and high < pair.final_kwh - rounding:
                continue
            hour, kwh = time + graph.least_time[road], used + graph.energy[road]
            cost = graph.kappa * (hour + hours[end]) + least_bill(graph, pair, kwh + consumed[end])
            pushed += 1
            entry = (cost, pushed, end, visited | 1 << end, hour, kwh, low, high, (*roads, road))
            heapq.heappush(queue, entry)


def least_bill(graph: RoadGraph, pair: Pair, kwh: float) -> float:
    """Lower bound on what charging costs, its time included, on a way that uses so many kWh; money.

    Effective prices are >= 0 (an instance with others is refused), so buying only what is missing is a bound.
    """
    missing = max(pair.final_kwh, pair.min_kwh) - pair.initial_kwh + kwh
    return graph.least_price * max(missing, 0.0)
