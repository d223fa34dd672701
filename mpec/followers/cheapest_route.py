"""The cheapest route of an O-D pair at given road times and prices, by a search of its own.

Statement: min over the paths that visit no node twice, and over all charging plans on them, of

    kappa * (sum of road times) + sum_m h_m (rho_m + kappa / pile_kw_m)          (15), (25), (30)

subject to the energy rules (16)-(21), or the pair's outside cost where that is less. The judge of the
users' equilibrium (31) rests on it, so it shares nothing with the enumerated route set.

Method: labels, best first by an admissible bound (A*). A label is a partial path with its visited nodes
and, exactly, what every energy on board costs: the tank as portions (price, kWh), where energy is paid
when it is burnt, the cheapest first. At a station the label may hold up to a stop's energy more at that
station's price; what no longer fits pushes out the dearest portions, which were never paid. This is the
exact optimum of the fixed path, since giving back what is never burnt hurts nobody at prices >= 0. One
label replaces another at the same node only if it visited a subset of its nodes and has every energy at no
more cost: a cheaper walk is not an answer.

Source: the exchange argument is the one for refuelling on a fixed route (the "gas station problem").
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from instances.model import Instance

Array = np.ndarray[Any, Any]

STOP_H = 1.0
"""(20): the longest stop, h."""

ENERGY_ROUNDING = 1e-9
"""Relative to the battery: energies closer than this are equal."""

Portion = tuple[float, int, float]
"""Energy on board that is not yet paid: price in money/kWh, station index (-1: from the start), kWh."""


class CheapestRoute(NamedTuple):
    """The least cost [money per vehicle] and a route that has it; no roads and no plan when outside.

    ``roads``: road indices in driving order; ``plan``: (station index, kWh > 0).
    """

    cost: float
    roads: tuple[int, ...]
    plan: tuple[tuple[int, float], ...]
    outside: bool = False


@dataclass(frozen=True)
class _Label:
    """A partial path: what was paid (driving time and burnt energy), and the unpaid tank, cheapest first."""

    node: int
    visited: int
    paid: float
    energy: float
    tank: tuple[Portion, ...]
    roads: tuple[int, ...]


class RouteSearch:
    """The network of an instance, prepared once; `cheapest` answers for one pair, road times and prices."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        names = dict.fromkeys(node.id for node in instance.nodes)
        for road in instance.roads:
            names.update(dict.fromkeys((road.from_node, road.to_node)))
        self.number = {name: i for i, name in enumerate(names)}
        closed = {node.id for node in instance.nodes if not node.through}
        self.through = [name not in closed for name in names]
        self.leaving: list[list[tuple[int, int]]] = [[] for _ in names]
        self.entering: list[list[tuple[int, int]]] = [[] for _ in names]
        for index, road in enumerate(instance.roads):
            start, end = self.number[road.from_node], self.number[road.to_node]
            self.leaving[start].append((index, end))
            self.entering[end].append((index, start))
        self.burnt = [road.energy_kwh for road in instance.roads]
        self.stations: list[list[int]] = [[] for _ in names]
        for m, station in enumerate(instance.stations):
            if station.available and station.node in self.number:
                self.stations[self.number[station.node]].append(m)
        self.cap = [station.pile_kw * STOP_H for station in instance.stations]
        self.hourly = [instance.users.kappa_per_h / station.pile_kw for station in instance.stations]

    def cheapest(self, pair: int, road_time: Array, prices: Array) -> CheapestRoute | None:
        """See :func:`cheapest_route`."""
        vehicle = self.instance.pairs[pair]
        found = _Query(self, pair, road_time, prices).run()
        outside = vehicle.outside_cost
        if outside is not None and (found is None or outside < found.cost):
            return CheapestRoute(float(outside), (), (), outside=True)
        return found


class _Query:
    """One search: a pair's vehicle at given road times and prices."""

    def __init__(self, search: RouteSearch, pair: int, road_time: Array, prices: Array) -> None:
        kappa = search.instance.users.kappa_per_h
        self.search = search
        self.vehicle = search.instance.pairs[pair]
        self.origin, self.target = search.number[self.vehicle.origin], search.number[self.vehicle.destination]
        self.drive = [kappa * float(time) for time in road_time]
        self.price = [float(rho) + hourly for rho, hourly in zip(prices, search.hourly, strict=True)]
        if min(self.price, default=0.0) < 0.0:
            raise ValueError("the search needs prices with rho + kappa/pile_kw >= 0 at every station")
        self.rounding = ENERGY_ROUNDING * (abs(self.vehicle.max_kwh) or 1.0)
        self.final = max(self.vehicle.final_kwh, self.vehicle.min_kwh)
        self.least_price = min((self.price[m] for here in search.stations for m in here), default=0.0)
        burning = [d + self.least_price * kwh for d, kwh in zip(self.drive, search.burnt, strict=True)]
        self.drive_left = self._distance(self.drive)
        self.total_left = self._distance(burning)

    def run(self) -> CheapestRoute | None:
        """The best complete label, None if no path can be driven."""
        first = self._first()
        queue: list[tuple[float, int, _Label]] = []
        if first is not None:
            queue.append((self._bound(first), 0, first))
        settled: list[list[_Label]] = [[] for _ in self.search.leaving]
        pushed = 0
        while queue:
            _, _, label = heapq.heappop(queue)
            if label.node == self.target:
                return self._answer(label)
            if any(self._covers(other, label) for other in settled[label.node]):
                continue
            settled[label.node].append(label)
            if label.node != self.origin and not self.search.through[label.node]:
                continue
            for road, end in self.search.leaving[label.node]:
                longer = self._extend(label, road, end)
                if longer is not None:
                    pushed += 1
                    heapq.heappush(queue, (self._bound(longer), pushed, longer))
        return None

    def _first(self) -> _Label | None:
        vehicle = self.vehicle
        start = vehicle.initial_kwh
        if not vehicle.min_kwh - self.rounding <= start <= vehicle.max_kwh + self.rounding:
            return None
        free = max(start - vehicle.min_kwh, 0.0)
        return _Label(self.origin, 1 << self.origin, 0.0, free, ((0.0, -1, free),), ())

    def _distance(self, weight: Sequence[float]) -> list[float]:
        """Least sum of weights from every node to the destination, walks allowed (a lower bound)."""
        search = self.search
        distance = [float("inf")] * len(search.leaving)
        distance[self.target] = 0.0
        queue = [(0.0, self.target)]
        while queue:
            reached, node = heapq.heappop(queue)
            if reached > distance[node] or (node != self.target and not search.through[node]):
                continue
            for road, start in search.entering[node]:
                if reached + weight[road] < distance[start]:
                    distance[start] = reached + weight[road]
                    heapq.heappush(queue, (distance[start], start))
        return distance

    def _bound(self, label: _Label) -> float:
        """Lower bound on the cost of any completion: the drive, and the energy at the least price of all.

        Of the energy on board only what came along from the start is free.
        """
        if label.node == self.target:
            return label.paid
        free = sum(kwh for _, source, kwh in label.tank if source < 0)
        wanted = self.final - self.vehicle.min_kwh
        energy = self.total_left[label.node] + self.least_price * (wanted - free)
        return label.paid + max(self.drive_left[label.node], energy)

    def _extend(self, label: _Label, road: int, end: int) -> _Label | None:
        """Drive a road, then fill up at its end; None if it was visited or the energy is too little."""
        if label.visited >> end & 1 or self.drive_left[end] == float("inf"):
            return None
        burnt = self.search.burnt[road]
        if label.energy < burnt - self.rounding:
            return None
        cost, tank = _burn(label.tank, burnt)
        energy = max(label.energy - burnt, 0.0)
        for m in self.search.stations[end]:
            energy, tank = self._fill(tank, m)
        paid = label.paid + self.drive[road] + cost
        if end == self.target:
            wanted = self.final - self.vehicle.min_kwh
            if energy < wanted - self.rounding:
                return None
            cost, tank = _burn(tank, wanted)
            paid += cost
        return _Label(end, label.visited | 1 << end, paid, energy, tank, (*label.roads, road))

    def _fill(self, tank: tuple[Portion, ...], m: int) -> tuple[float, tuple[Portion, ...]]:
        """Hold a stop's energy of station m as well; what does not fit is dropped, dearest first."""
        space = room = self.vehicle.max_kwh - self.vehicle.min_kwh
        kept: list[Portion] = []
        # Source -1 sorts first: what was on board at the start can't be given back.
        for price, source, amount in sorted((*tank, (self.price[m], m, self.search.cap[m]))):
            kwh = min(amount, space)
            if kwh > 0.0:
                kept.append((price, source, kwh))
                space -= kwh
        return room - space, tuple(kept)

    def _covers(self, one: _Label, other: _Label) -> bool:
        """``one`` makes ``other`` superfluous: fewer nodes barred, and every energy at no more cost."""
        return not one.visited & ~other.visited and _never_dearer(one, other, self.rounding)

    def _answer(self, label: _Label) -> CheapestRoute:
        """The plan of a complete path: drive it again, noting from where the burnt energy came."""
        plan: dict[int, float] = {}
        energy = max(self.vehicle.initial_kwh - self.vehicle.min_kwh, 0.0)
        tank: tuple[Portion, ...] = ((0.0, -1, energy),)
        for road in label.roads:
            _, tank = _burn(tank, self.search.burnt[road], plan)
            end = self.search.number[self.search.instance.roads[road].to_node]
            for m in self.search.stations[end]:
                _, tank = self._fill(tank, m)
        _burn(tank, self.final - self.vehicle.min_kwh, plan)
        charged = tuple((m, kwh) for m, kwh in sorted(plan.items()) if m >= 0 and kwh > self.rounding)
        return CheapestRoute(label.paid, label.roads, charged)


def cheapest_route(
    instance: Instance, pair_index: int, road_time: Array, prices: Array
) -> CheapestRoute | None:
    """The cheapest route of a pair, eqs. (15)-(21), (25), (30), whether it was ever enumerated or not.

    ``road_time`` (A,) h, ``prices`` (M,) money/kWh. The outside option is included: ``outside=True``
    when it is cheaper than every path. None when no path can be driven and there is no outside option. Raises
    ValueError when some rho + kappa/pile_kw is negative. For many calls keep a :class:`RouteSearch`.
    """
    return RouteSearch(instance).cheapest(pair_index, road_time, prices)


def _burn(
    tank: tuple[Portion, ...], kwh: float, noted: dict[int, float] | None = None
) -> tuple[float, tuple[Portion, ...]]:
    """Use energy, the cheapest first: what that costs, and the tank left. ``noted``: burnt kWh by source."""
    cost = 0.0
    for position, (price, source, amount) in enumerate(tank):
        used = min(amount, kwh)
        cost += price * used
        kwh -= used
        if noted is not None:
            noted[source] = noted.get(source, 0.0) + used
        if amount > used:
            return cost, ((price, source, amount - used), *tank[position + 1 :])
    return cost, ()


def _never_dearer(one: _Label, other: _Label, rounding: float) -> bool:
    """Is paid + (cost of the cheapest e kWh of the tank) of ``one`` <= that of ``other`` for all e it has?

    Both are convex and piecewise linear in e, so their break points suffice; energy may be left unused.
    """
    if one.paid > other.paid or one.energy < other.energy - rounding:
        return False
    mine, theirs = list(one.tank), list(other.tank)
    lead = other.paid - one.paid
    i = j = 0
    left = mine[0][2] if mine else 0.0
    right = theirs[0][2] if theirs else 0.0
    while i < len(mine) and j < len(theirs):
        step = min(left, right)
        lead += step * (theirs[j][0] - mine[i][0])
        if lead < 0.0:
            return False
        left, right = left - step, right - step
        if left <= 0.0:
            i += 1
            left = mine[i][2] if i < len(mine) else 0.0
        if right <= 0.0:
            j += 1
            right = theirs[j][2] if j < len(theirs) else 0.0
    return True
