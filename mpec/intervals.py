"""Proven intervals of one hour's quantities: interval propagation, and the record they live in.

Everything bilinear is relaxed over these intervals, so their widths decide the bound. Intervals are
valid for every price in its box and every incoming residual in its own interval; intervals found
with a cutoff are kept apart by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from formulations.congestion import road_time
from formulations.prices import price_box
from formulations.routes import RouteSet, hour_routes
from instances.model import Instance
from mpec.exact_sums import UNIT
from mpec.tolerances import BOUND_MARGIN, DELTA, EPSILON

if TYPE_CHECKING:
    from mpec.hour_state import HourState

Array = np.ndarray

QUANTITIES = (
    "price",
    "incoming",
    "residual",
    "modified",
    "cheapest",
    "road_flow",
    "route_flow",
    "slack",
    "load",
)


@dataclass
class Intervals:
    """low[q], high[q] for each quantity q of one hour, and which routes can still be used.

    price, load: (M,). incoming, residual, modified, cheapest: (N,). road_flow: (A,).
    route_flow, slack, usable: (R,).
    """

    low: dict[str, Array]
    high: dict[str, Array]
    usable: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def copy(self) -> Intervals:
        return Intervals(
            {k: v.copy() for k, v in self.low.items()},
            {k: v.copy() for k, v in self.high.items()},
            self.usable.copy(),
        )

    def meet(self, quantity: str, index: int, low: float, high: float) -> None:
        """Intersect with [low, high] after an outward margin; a crossing collapses to the middle."""
        low, high = low - BOUND_MARGIN * (1 + abs(low)), high + BOUND_MARGIN * (1 + abs(high))
        lo = max(float(self.low[quantity][index]), low)
        hi = min(float(self.high[quantity][index]), high)
        if lo > hi:
            lo = hi = 0.5 * (lo + hi)
        self.low[quantity][index], self.high[quantity][index] = lo, hi

    @property
    def stray(self) -> Array:
        """(N,) veh/h that the eps-game lets a pair put on routes that are too dear: delta * Wmod."""
        return np.asarray(DELTA * self.high["modified"])

    def width(self, quantity: str) -> Array:
        return np.asarray(self.high[quantity] - self.low[quantity])


def first_intervals(routes: RouteSet, t: int, incoming_low: Array, incoming_high: Array) -> Intervals:
    """Interval propagation for period ``t`` from the incoming residuals' intervals, both (N,).

    Wmod_hi = (W + xi r_in_hi) / (1 + xi eta T_lo) with T_lo the least time of the pair's routes;
    r = eta D T / (1 + xi eta T) grows in D and T; c - cmin from the times' and prices' intervals.
    """
    instance = routes.instance
    shape = len(instance.pairs), len(routes.routes), len(instance.roads), len(instance.stations)
    pairs, many, roads, stations = shape
    least, most_price = price_box(instance)
    low = {
        "price": least[:, t].copy(),
        "incoming": np.asarray(incoming_low, float).copy(),
        "road_flow": np.zeros(roads),
        "route_flow": np.zeros(many),
        "slack": np.zeros(many),
        "load": np.zeros(stations),
        **{q: np.zeros(pairs) for q in ("residual", "modified", "cheapest")},
    }
    high = {
        "price": most_price[:, t].copy(),
        "incoming": np.asarray(incoming_high, float).copy(),
        "road_flow": np.full(roads, np.inf),
        "route_flow": np.full(many, np.inf),
        "slack": np.full(many, np.inf),
        "load": np.array([s.capacity_kw * (1 + EPSILON) for s in instance.stations]),
        **{q: np.full(pairs, np.inf) for q in ("residual", "modified", "cheapest")},
    }
    box = Intervals(low, high, np.ones(many, dtype=bool))
    demand = np.array([instance.demand(p, instance.periods[t]) for p in instance.pairs])
    free = routes.on_road @ road_time(instance, np.zeros(roads)) + routes.charging_h
    most = instance.users.xi * np.asarray(incoming_high) + demand
    rate = instance.users.xi * instance.residual_rate
    # A first ceiling on flows, before any route is dropped: all of the pair's demand at its least time.
    box.high["route_flow"] = most[routes.pair] / (1 + rate * np.where(routes.outside, 0.0, free))
    for _ in range(20):
        before = int(box.usable.sum())
        propagate(box, routes, demand)
        if int(box.usable.sum()) == before:
            break
    return box


def propagate(box: Intervals, routes: RouteSet, demand: Array) -> None:
    """One pass over the definitions of page 1, in place; only ever tightens."""
    instance = routes.instance
    used, pair = box.usable, routes.pair
    pairs = len(instance.pairs)
    kappa = instance.users.kappa_per_h
    rate = instance.users.xi * instance.residual_rate
    eta = instance.residual_rate
    inside = ~routes.outside
    cap = np.zeros(len(instance.roads))
    for n in range(pairs):
        mine = used & (pair == n)
        if not mine.any():
            continue
        total = min(float(box.high["modified"][n]), np.inf)
        through = np.minimum(total, (box.high["route_flow"][mine, None] * routes.on_road[mine]).sum(axis=0))
        cap += np.where((routes.on_road[mine] > 0).any(axis=0), through, 0.0)
    # What the eps-game allows on routes that are too dear may use any road.
    finite = np.where(np.isfinite(box.stray), box.stray, 0.0)
    cap = cap * (1 + BOUND_MARGIN) + finite.sum()
    box.high["road_flow"] = np.minimum(box.high["road_flow"], cap)
    box.low["road_flow"] = np.minimum(box.low["road_flow"], box.high["road_flow"])
    used &= hour_routes(
        routes,
        box.high["road_flow"],
        price_low=box.low["price"],
        price_high=box.high["price"],
        flow_lower=box.low["road_flow"],
    )
    fast, slow = road_time(instance, box.low["road_flow"]), road_time(instance, box.high["road_flow"])
    time_low = np.where(inside, routes.on_road @ fast + routes.charging_h, 0.0)
    time_high = np.where(inside, routes.on_road @ slow + routes.charging_h, 0.0)
    cost_low = kappa * time_low + routes.plan_kwh @ box.low["price"] + routes.outside_cost
    cost_high = kappa * time_high + routes.plan_kwh @ box.high["price"] + routes.outside_cost
    dearest = np.maximum(np.abs(box.low["price"]), np.abs(box.high["price"]))
    size = kappa * time_high + routes.plan_kwh @ dearest + np.abs(routes.outside_cost)
    # (x / c)^beta multiplies the quotient's error by beta.
    steepest = max((road.bpr_beta for road in instance.roads), default=0.0)
    blur = (len(instance.roads) + len(instance.stations) + 2.0 * steepest + 16.0) * UNIT
    xi = instance.users.xi
    for n in range(pairs):
        mine = np.flatnonzero(used & (pair == n))
        d_low = demand[n] + xi * box.low["incoming"][n]
        d_high = demand[n] + xi * box.high["incoming"][n]
        if not len(mine):
            box.usable[pair == n] = False
            continue
        t_low, t_high = time_low[mine].min(), time_high[mine].max()
        box.meet("cheapest", n, cost_low[mine].min(), cost_high[mine].min())
        if d_low == d_high and rate == 0.0:
            box.low["modified"][n] = box.high["modified"][n] = d_low
        else:
            box.meet("modified", n, d_low / (1 + rate * t_high), d_high / (1 + rate * t_low))
        box.meet(
            "residual",
            n,
            eta * d_low * t_low / (1 + rate * t_low),
            eta * d_high * t_high / (1 + rate * t_high),
        )
        ceiling = np.minimum(d_high / (1 + rate * time_low[mine]), box.high["modified"][n])
        box.high["route_flow"][mine] = np.minimum(box.high["route_flow"][mine], ceiling)
        gap = cost_high[mine] - box.low["cheapest"][n]
        # An M: rounded outwards (Higham 2002, gamma_k), as the sides of "cheapest" are by far.
        gap += blur * (size[mine] + abs(box.low["cheapest"][n]))
        box.high["slack"][mine] = np.minimum(box.high["slack"][mine], np.maximum(gap, 0.0))
    box.high["route_flow"][~used] = 0.0
    box.high["slack"][~used] = np.inf
    loads = np.zeros(len(instance.stations))
    for n in range(pairs):
        mine = used & (pair == n)
        if mine.any():
            each = (box.high["route_flow"][mine, None] * routes.plan_kwh[mine]).sum(axis=0)
            loads += np.minimum(each, box.high["modified"][n] * routes.plan_kwh[mine].max(axis=0))
    most_kwh = longest_stay(routes, slow)[1]
    box.high["load"] = np.minimum(box.high["load"], loads * (1 + BOUND_MARGIN) + most_kwh * box.stray.sum())
    box.usable = used


def longest_stay(routes: RouteSet, slow: Array) -> tuple[float, float]:
    """Ceilings on the time [h] and energy [kWh] of any route at all, enumerated or not.

    A simple path uses each road at most once; a vehicle can't charge more than it burns plus its battery.
    """
    instance = routes.instance
    burnt = sum(road.energy_kwh for road in instance.roads)
    kwh = burnt + max((p.max_kwh for p in instance.pairs), default=0.0)
    slowest = min((s.pile_kw for s in instance.stations), default=1.0)
    return float(slow.sum() + kwh / slowest), float(kwh)


def incoming_at_start(instance: Instance) -> Array:
    """r[.,0], (N,)."""
    return np.full(len(instance.pairs), instance.users.initial_residual)


def propagated(routes: RouteSet, state: HourState) -> HourState:
    """The state with its intervals propagated once more, after some of them were narrowed."""
    demand = np.array(
        [routes.instance.demand(p, routes.instance.periods[state.t]) for p in routes.instance.pairs]
    )
    box = state.box.copy()
    propagate(box, routes, demand)
    return replace(state, box=box)
