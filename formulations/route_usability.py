"""Which routes can ever be used? Dominance proofs over price boxes and intervals of road times.

Route k of an O-D pair is never used when a rival k' of the same pair is cheaper at every price of the box and
all road times in [low, high]. Roads that both use cancel, and so do stations:

    c_k - c_k' >= kappa (sum of low times over roads of k only - sum of high times over roads of k' only)
                  + kappa (charging time of k - of k')
                  + sum_m min over rho_m in the box of (h_km - h_k'm) rho_m

The route is dropped when the right side exceeds a margin above the slack that the certified game gives to
used routes (c - cmin <= 1e-6 cmin), so it stays unused in that game too. The rule "cheapest conceivable
cost above the pair's dearest conceivable minimum" is the special case without cancelling.

How slow roads can get is found forward in time (:func:`sweep`). With xi = 0 flows of a period come from its
demand alone; residual flow brings in only what earlier periods left, and in each period

    sum_k w_k (1 + xi eta T_k) = B,   B = W + xi r_in          (23)-(26)
    Wmod <= B / (1 + xi eta T_low),   r <= B eta T_high / (1 + xi eta T_high)

because each vehicle-hour share is monotone in the time T of a route. In a period, flow ceilings give time
ceilings, these drop routes, and fewer routes give lower ceilings, until nothing moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from formulations.congestion import RoadCost
from instances.model import Instance

Array = np.ndarray[Any, Any]

COST_SLACK = 1e-6
"""The certified game calls a route used up to this relative cost above the cheapest."""

DROP_MARGIN = 2.0 * COST_SLACK
"""Relative margin of a dominance proof, of the dearest conceivable minimum."""

STRAY_SHARE = 1e-3
"""Share of a pair's vehicles that may be anywhere: the certified game lets a route that is too dear
carry 1e-6 of the pair's flow; this is room for a thousand of them."""

MOST_PASSES = 50
"""A period's ceilings are valid after every pass; more passes than this hardly lower them."""


@dataclass(frozen=True)
class Candidates:
    """Routes (or paths with bounds on their plans) of one O-D pair, K of them, and D rivals to beat them.

    on_road (K, A) 0/1; drive_low (K,) least driving time, h; charge_low, charge_high (K,) charging time, h;
    bill_low (K,) least of charging bill, charging time at kappa and outside cost, money; money_low (K,) the
    same without charging time; rival_on (D, A); rival_bill_high (D,) most of bill and charging time;
    bill_gap (K, D) least difference bill_k - bill_d over the price box, charging time included.
    """

    on_road: Array
    drive_low: Array
    charge_low: Array
    charge_high: Array
    bill_low: Array
    money_low: Array
    rival_on: Array
    rival_bill_high: Array
    bill_gap: Array

    def restricted(self, kept: Array) -> Candidates:
        """The same with some of the candidates only; rivals stay."""
        return replace(
            self,
            on_road=self.on_road[kept],
            drive_low=self.drive_low[kept],
            charge_low=self.charge_low[kept],
            charge_high=self.charge_high[kept],
            bill_low=self.bill_low[kept],
            money_low=self.money_low[kept],
            bill_gap=self.bill_gap[kept],
        )


@dataclass(frozen=True)
class Ceilings:
    """What :func:`sweep` proves. Arrays over periods T: routes that can be used, and upper bounds.

    usable: per pair a mask (K, T); flow (A, T) veh/h; time (A, T) h; modified (N, T) veh/h; residual (N, T)
    veh/h leaving the period; cheapest (N, T) money.
    """

    usable: list[Array]
    flow: Array
    time: Array
    modified: Array
    residual: Array
    cheapest: Array


def plan_gap(plan: Array, rival_plan: Array, price_low: Array, price_high: Array) -> Array:
    """min over the box of (plan_k - plan_d) . price, shape (K, D); plans (., M), box (M,) money/kWh."""
    # min(d low, d high) = d low where d > 0, d high where d < 0; written as products to stay two-dimensional.
    gap = np.zeros((len(plan), len(rival_plan)))
    for m in np.flatnonzero((plan != 0.0).any(axis=0) | (rival_plan != 0.0).any(axis=0)):
        difference = plan[:, m, None] - rival_plan[None, :, m]
        gap += np.where(difference > 0.0, difference * price_low[m], difference * price_high[m])
    return gap


def dominated(candidates: Candidates, kappa: float, low: Array, high: Array) -> tuple[Array, float]:
    """Mask (K,) of candidates that some rival beats by the margin, and the dearest conceivable minimum.

    ``low``, ``high`` (A,): intervals of the road times, h. Without rivals nothing is dominated (minimum inf).
    """
    c = candidates
    if not len(c.rival_on):
        return np.zeros(len(c.on_road), bool), np.inf
    on, rival = c.on_road, c.rival_on
    rival_hours = rival @ high
    cheapest = float((kappa * rival_hours + c.rival_bill_high).min())
    common = (on * (high - low)) @ rival.T  # low times count for k only, high times for the rival only
    hours = (on @ low)[:, None] - rival_hours[None, :] + common
    gap = kappa * hours + c.bill_gap
    # The second part is room for rounding in sums of this size.
    margin = DROP_MARGIN * max(cheapest, 0.0) + 1e-12 * (abs(cheapest) + kappa * float(high.sum()))
    return np.asarray((gap > margin).any(axis=1)), cheapest


def sweep(instance: Instance, candidates: Sequence[Candidates]) -> Ceilings:
    """Forward through the periods: who can be used, and how much flow, time and residual there can be.

    ``candidates[n]`` are all routes of pair n, or stand for all of them. Proven for every price of the
    box that went into the candidates, in every equilibrium of the certified game (see the module's text).
    """
    road_cost = RoadCost.of(instance)
    pairs, periods = instance.pairs, instance.periods
    incoming = np.full(len(pairs), instance.users.initial_residual)
    settled = []
    for period in periods:
        demand = np.array([instance.demand(pair, period) for pair in pairs])
        settled.append(_settle(instance, road_cost, candidates, demand + instance.users.xi * incoming))
        incoming = settled[-1].residual
    return Ceilings(
        usable=[np.stack([s.usable[n] for s in settled], axis=1) for n in range(len(pairs))],
        flow=np.stack([s.flow for s in settled], axis=1),
        time=np.stack([s.time for s in settled], axis=1),
        modified=np.stack([s.modified for s in settled], axis=1),
        residual=np.stack([s.residual for s in settled], axis=1),
        cheapest=np.stack([s.cheapest for s in settled], axis=1),
    )


def _settle(
    instance: Instance, cost: RoadCost, candidates: Sequence[Candidates], right_side: Array
) -> Ceilings:
    """One period: ``right_side`` (N,) is W + xi r_in at most, veh/h. Ceilings without the period axis."""
    kappa, rate = instance.users.kappa_per_h, instance.users.xi * instance.residual_rate
    low = cost.time(np.zeros(len(instance.roads)))
    high = np.full(len(low), np.inf)
    usable = [np.ones(len(c.on_road), bool) for c in candidates]
    share = np.array([min(max(STRAY_SHARE, DROP_MARGIN * len(c.on_road)), 0.5) for c in candidates])
    flowing = right_side > 0.0
    for _ in range(MOST_PASSES):
        active = [c.restricted(u) for c, u in zip(candidates, usable, strict=True)]
        modified = np.minimum(
            right_side / (1.0 + rate * _shortest_stay(candidates)),
            right_side / ((1.0 - share) * (1.0 + rate * _shortest_stay(active))),
        )
        stray = float((share * right_side).sum())
        flow = np.full(len(low), stray)
        for n, c in enumerate(active):
            flow += modified[n] * c.on_road.any(axis=0)
        before, high = high, np.minimum(high, cost.time(flow))
        proofs = [dominated(c, kappa, low, high) for c in active]
        cheapest = np.array([most for _, most in proofs])
        travelling = [(c, m) for c, m, flows in zip(active, cheapest, flowing, strict=True) if flows]
        high = np.minimum(high, _affordable(travelling, kappa, low, cost.time(np.full(len(low), stray))))
        dropped = False
        for n, (beaten, _) in enumerate(proofs):
            usable[n][np.flatnonzero(usable[n])[beaten]] = False
            dropped = dropped or bool(beaten.any())
        if not dropped and np.all(before <= high * (1.0 + 1e-3)):
            break
    residual = _most_residual(instance, candidates, usable, cheapest, high, right_side, share)
    return Ceilings(usable, flow, high, modified, residual, cheapest)


def _shortest_stay(candidates: Sequence[Candidates]) -> Array:
    """(N,) least time of a route, driving and charging, h; 0 for a pair without routes."""
    return np.array([(c.drive_low + c.charge_low).min() if len(c.on_road) else 0.0 for c in candidates])


def _affordable(
    travelling: Sequence[tuple[Candidates, float]], kappa: float, low: Array, strayed: Array
) -> Array:
    """Ceiling on road times (A,): on a used road some used route must stay within its pair's minimum.

    kappa (t_a - low_a) <= cheapest (1 + slack) - (least cost of the route), for the pairs with any flow, each
    with its dearest conceivable minimum; a road that only strays use has at most the time ``strayed``.
    """
    if kappa == 0.0:
        return np.full(len(low), np.inf)
    most = np.zeros(len(low))
    for c, cheapest in travelling:
        spare = cheapest * (1.0 + DROP_MARGIN) - (kappa * c.drive_low + c.bill_low)
        per_route = np.where(c.on_road > 0.0, np.maximum(spare, 0.0)[:, None] / kappa, 0.0)
        most = np.maximum(most, per_route.max(axis=0, initial=0.0))
    return np.asarray(np.maximum((low + most) * (1.0 + 1e-9), strayed))


def _most_residual(
    instance: Instance,
    candidates: Sequence[Candidates],
    usable: Sequence[Array],
    cheapest: Array,
    high: Array,
    right_side: Array,
    share: Array,
) -> Array:
    """(N,) most residual flow that leaves the period: r <= B eta T / (1 + xi eta T) with the largest T.

    A used route's time is also limited by what it may cost, kappa T <= cheapest (1 + slack) - bill.
    """
    kappa, eta = instance.users.kappa_per_h, instance.residual_rate
    rate = instance.users.xi * eta
    residual = np.zeros(len(candidates))
    for n, c in enumerate(candidates):
        hours = c.on_road @ high + c.charge_high
        longest = hours.max(initial=0.0)
        spare = cheapest[n] * (1.0 + DROP_MARGIN) - c.money_low
        if kappa > 0.0:
            hours = np.minimum(hours, np.maximum(spare, 0.0) / kappa)
        used = hours[usable[n]].max(initial=0.0)
        # Strays take a share of B that grows with their time, since B counts a vehicle 1 + xi eta T times.
        strays = min(1.0, share[n] * (1.0 + rate * longest))
        each = eta * used / (1.0 + rate * used)
        farthest = eta * longest / (1.0 + rate * longest)
        residual[n] = right_side[n] * ((1.0 - strays) * each + strays * farthest)
    return residual
