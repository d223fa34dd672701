"""Is the equilibrium one over *all* routes of the road network, whatever set the game was restricted to?

A declared route set is the user's right: a point that is an equilibrium on it passes (31) in
`mpec.checks.users`. Whether drivers who know the whole network would stay, is another statement, and the
certificate makes it plainly, by the search over all routes that has never seen a route set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from instances.model import Instance
from mpec import tolerances
from mpec.checks.equations import Answer
from mpec.equilibrium import Point
from mpec.followers.cheapest_route import CheapestRoute, RouteSearch


@dataclass(frozen=True)
class Advantage:
    """What a vehicle of a pair could save at most, money (relative: of its cost), and the route that does it.

    path: road ids, empty for leaving the game; plan: (station id, kWh).
    """

    origin: str
    destination: str
    period: int
    saving: float
    relative: float
    cost: float
    cheapest: float
    path: tuple[str, ...]
    plan: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class AllRoutes:
    """no_cheaper_route: no used route can be left for one that is cheaper by more than eps; None: not found
    out, ``reason`` says why. cases: pairs and periods where it can; worst: the largest saving, relatively."""

    no_cheaper_route: bool | None
    cases: int = 0
    worst: Advantage | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "no_cheaper_route": self.no_cheaper_route,
            "cheaper_route_cases": self.cases,
            "largest_saving": None if self.worst is None else self.worst.to_json(),
        }

    def sentence(self, currency: str) -> str:
        """How certificate and terminal say it."""
        if self.no_cheaper_route is None:
            why = f": {self.reason}" if self.reason else ""
            return f"whether a cheaper route exists at this equilibrium was not found out{why}"
        if self.no_cheaper_route or self.worst is None:
            return "no cheaper route exists at this equilibrium"
        w = self.worst
        more = f" and in {self.cases - 1} more cases" if self.cases > 1 else ""
        return (
            f"a cheaper route exists at this equilibrium for pair {w.origin}>{w.destination} in period {w.period} "
            f"({w.saving:.6g} {currency} a vehicle, {100 * w.relative:.3g} %){more}"
        )


def search_all_routes(instance: Instance, point: Point, answer: Answer) -> AllRoutes:
    """(31) over all routes, per pair and period with vehicles, at the point's own road times and prices.

    c - cmin <= eps max(c, cmin) for every route with w > delta Wmod, as in the certified game. Never raises for
    what the point holds: nonsense is "not found out".
    """
    try:
        return _searched(instance, np.asarray(point.prices, float), answer)
    except (ValueError, ArithmeticError) as error:  # the point is untrusted
        return AllRoutes(None, reason=str(error))


def _searched(instance: Instance, prices: np.ndarray, answer: Answer) -> AllRoutes:
    traffic, search = answer.traffic, RouteSearch(instance)
    dearest: dict[tuple[int, int], float] = {}
    for k, route in enumerate(answer.routes):
        place = route.pair, route.period
        if route.flow > tolerances.DELTA * traffic.vehicles[place]:
            dearest[place] = max(dearest.get(place, -np.inf), float(traffic.route_cost[k]))
    cases, worst = 0, None
    for (n, t), cost in sorted(dearest.items()):
        found = search.cheapest(n, traffic.road_time_h[:, t], prices[:, t])
        if found is None:
            raise ValueError(f"the search finds no route from {' to '.join(instance.pairs[n].key)}")
        relative = (cost - found.cost) / max(abs(found.cost), abs(cost), 1e-12)
        if not np.isfinite(relative):
            raise ValueError("a cost is not finite")
        cases += relative > tolerances.EPSILON
        if worst is None or relative > worst.relative:
            worst = _advantage(instance, n, t, cost, relative, found)
    return AllRoutes(cases == 0, int(cases), worst)


def _advantage(
    instance: Instance, n: int, t: int, cost: float, relative: float, found: CheapestRoute
) -> Advantage:
    return Advantage(
        *instance.pairs[n].key,
        period=instance.periods[t].id,
        saving=cost - found.cost,
        relative=relative,
        cost=cost,
        cheapest=found.cost,
        path=tuple(instance.roads[a].id for a in found.roads),
        plan=tuple((instance.stations[m].id, kwh) for m, kwh in found.plan),
    )
