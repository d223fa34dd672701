"""A route and a set of routes, as records and as the arrays that everything downstream computes with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from formulations.congestion import road_time
from formulations.route_usability import Candidates, plan_gap
from instances.model import Instance

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Route:
    """A path (road indices in driving order) and its plan, (station index, kWh > 0) pairs; or "outside"."""

    pair: int
    roads: tuple[int, ...]
    plan: tuple[tuple[int, float], ...]
    outside: bool = False


@dataclass(frozen=True)
class RouteSet:
    """Routes of an instance, sorted by pair. R routes, A roads, M stations, N pairs.

    ``complete``: proven to hold every route that could be used; ``declared``: read from route_set.csv.
    """

    instance: Instance
    routes: tuple[Route, ...]
    complete: bool
    declared: bool

    @cached_property
    def pair(self) -> Array:
        """(R,) index of the route's O-D pair."""
        return np.array([route.pair for route in self.routes], int)

    @cached_property
    def on_road(self) -> Array:
        """(R, A) 1.0 where the route uses the road, else 0.0."""
        on = np.zeros((len(self.routes), len(self.instance.roads)))
        for k, route in enumerate(self.routes):
            on[k, list(route.roads)] = 1.0
        return on

    @cached_property
    def plan_kwh(self) -> Array:
        """(R, M) energy charged, kWh per vehicle: h of (20)-(22)."""
        plan = np.zeros((len(self.routes), len(self.instance.stations)))
        for k, route in enumerate(self.routes):
            for station, kwh in route.plan:
                plan[k, station] = kwh
        return plan

    @cached_property
    def charging_h(self) -> Array:
        """(R,) charging time (30), h."""
        pile = np.array([station.pile_kw for station in self.instance.stations], float)
        return np.asarray(self.plan_kwh @ (1.0 / pile))

    @cached_property
    def outside(self) -> Array:
        """(R,) bool: the routes that leave the game."""
        return np.array([route.outside for route in self.routes], bool)

    @cached_property
    def outside_cost(self) -> Array:
        """(R,) money per vehicle, 0 for routes inside the game."""
        pairs = self.instance.pairs
        return np.array([(pairs[r.pair].outside_cost or 0.0) if r.outside else 0.0 for r in self.routes])

    @cached_property
    def pair_rows(self) -> list[Array]:
        """For each pair the indices of its routes."""
        return [np.flatnonzero(self.pair == n) for n in range(len(self.instance.pairs))]


def route_candidates(
    routes: RouteSet,
    rows: Array,
    rivals: Array | None = None,
    *,
    price_low: Array | None = None,
    price_high: Array | None = None,
) -> Candidates:
    """The routes ``rows`` of one pair as candidates of a dominance proof.

    ``rivals``: positions within ``rows``, all by default; ``price_low``, ``price_high`` (M,): the
    instance's price box by default.
    """
    instance = routes.instance
    rivals = np.arange(len(rows)) if rivals is None else rivals
    stations = instance.stations
    low = np.array([s.price_min for s in stations], float) if price_low is None else np.asarray(price_low)
    high = np.array([s.price_max for s in stations], float) if price_high is None else np.asarray(price_high)
    on, plan, hours = routes.on_road[rows], routes.plan_kwh[rows], routes.charging_h[rows]
    # Charging time at its money value, and the outside cost: the same at every price.
    fixed = instance.users.kappa_per_h * hours + routes.outside_cost[rows]
    gap = plan_gap(plan, plan[rivals], low, high) + fixed[:, None] - fixed[None, rivals]
    return Candidates(
        on_road=on,
        drive_low=on @ road_time(instance, np.zeros(len(instance.roads))),
        charge_low=hours,
        charge_high=hours,
        bill_low=fixed + plan @ low,
        money_low=routes.outside_cost[rows] + plan @ low,
        rival_on=on[rivals],
        rival_bill_high=fixed[rivals] + plan[rivals] @ high,
        bill_gap=gap,
    )
