"""Charging plans on a fixed path: eqs. (16)-(21) and (30), and the plans that prices can make best.

On a fixed path the energy on board is the initial energy, minus what the roads took, plus what was charged.
With h_i the energy taken at the path's i-th stop [kWh], groups g of stops at one node in driving order and
H_g = sum of h_i over the stops in the groups 1..g, the rules of design page 1 become

    0 <= h_i <= pile_kw_i * 1 h                        (20), (21)
    L_g <= H_g <= U_g        for every group g         (16)-(19)

L_g is what the energy on arrival needs until the next group (at the end: the energy wanted at the
destination), U_g what fits into the battery on departure. A plan costs sum_i h_i * p_i with the effective
price p_i = rho_m + kappa / pile_kw_m [money/kWh] (the charging time (30) valued at kappa): linear, so only
vertices of this polytope are ever needed.

The rules are a flow on a line: any change of a plan splits into elementary exchanges (a little more at
i, a little less at j, or more at i alone, or less at j alone). Hence a vertex is optimal at prices p if and
only if p_i >= p_j for each exchange j -> i that it admits, p_i >= 0 where it can take more, p_j <= 0 where it
can take less: difference constraints, whose solvability in a price box is the absence of a negative
cycle. No LP is solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from instances.model import Instance, Pair

Array = np.ndarray[Any, Any]

LONGEST_STOP_H = 1.0
"""(20): a stop lasts at most so long, h."""

ENERGY_ROUNDING = 1e-9
"""kWh per kWh of battery: differences of energies below this are rounding, not a violated rule."""


@dataclass(frozen=True)
class PlanRules:
    """The plan polytope of one path: the stops in driving order and the limits on cumulated energy, kWh.

    stations (n,): station index of each stop; group (n,): its group, ascending from 0; cap (n,): most energy
    of the stop; lower (G,), upper (G,): L_g and U_g. `scale` is the battery's size, for rounding.
    """

    stations: tuple[int, ...]
    group: tuple[int, ...]
    cap: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    scale: float

    @property
    def tolerance(self) -> float:
        return ENERGY_ROUNDING * self.scale

    def violation(self, plan: Sequence[float]) -> float:
        """By how much a plan (n,) breaks (16)-(21) at worst, kWh; 0 when it is allowed."""
        worst = max((max(-h, h - cap) for h, cap in zip(plan, self.cap, strict=True)), default=0.0)
        for g, (lower, upper) in enumerate(zip(self.lower, self.upper, strict=True)):
            total = sum(h for h, group in zip(plan, self.group, strict=True) if group <= g)
            worst = max(worst, lower - total, total - upper)
        return max(worst, 0.0)


def plan_rules(
    legs: Sequence[float],
    stops: Sequence[Sequence[tuple[int, float]]],
    *,
    initial_kwh: float,
    min_kwh: float,
    max_kwh: float,
    final_kwh: float,
) -> PlanRules | None:
    """The plan polytope of a path, or None when no plan satisfies (16)-(21).

    ``legs[j]`` is the energy of the j-th road [kWh], ``stops[j]`` the (station index, cap in kWh) at its end.
    The energy is within [min_kwh, max_kwh] at every arrival and departure and at least ``final_kwh`` at
    the end, after charging there.
    """
    scale = abs(max_kwh) or 1.0
    tolerance = ENERGY_ROUNDING * scale
    least = most = initial_kwh  # the energies that can be on board, an interval
    if not min_kwh - tolerance <= initial_kwh <= max_kwh + tolerance:
        return None
    used = 0.0
    stations: list[int] = []
    group: list[int] = []
    cap: list[float] = []
    lower: list[float] = []
    upper: list[float] = []
    for leg, here in zip(legs, stops, strict=True):
        used += leg
        least, most = max(least - leg, min_kwh), min(most - leg, max_kwh)
        if least > most + tolerance:
            return None
        needed, room = min_kwh - initial_kwh + used, max_kwh - initial_kwh + used
        if lower:
            lower[-1], upper[-1] = max(lower[-1], needed), min(upper[-1], room)
        if here:
            group += [len(lower)] * len(here)
            stations += [station for station, _ in here]
            cap += [amount for _, amount in here]
            lower.append(needed)
            upper.append(room)
            most = min(most + sum(amount for _, amount in here), max_kwh)
    if most < final_kwh - tolerance:
        return None
    if lower:
        lower[-1] = max(lower[-1], final_kwh - initial_kwh + used)
    return PlanRules(tuple(stations), tuple(group), tuple(cap), tuple(lower), tuple(upper), scale)


def path_rules(instance: Instance, pair: Pair, roads: Sequence[int]) -> PlanRules | None:
    """:func:`plan_rules` of a path of road indices; the origin's stations don't count."""
    at_node = stops_by_node(instance)
    chosen = [instance.roads[road] for road in roads]
    return plan_rules(
        [road.energy_kwh for road in chosen],
        [at_node.get(road.to_node, ()) for road in chosen],
        initial_kwh=pair.initial_kwh,
        min_kwh=pair.min_kwh,
        max_kwh=pair.max_kwh,
        final_kwh=pair.final_kwh,
    )


def stops_by_node(instance: Instance) -> dict[str, tuple[tuple[int, float], ...]]:
    """node id -> (station index, most kWh of a stop) of its available stations, (20), (21)."""
    stops: dict[str, tuple[tuple[int, float], ...]] = {}
    for index, station in enumerate(instance.stations):
        if station.available and station.pile_kw > 0.0:
            stop = (index, station.pile_kw * LONGEST_STOP_H)
            stops[station.node] = (*stops.get(station.node, ()), stop)
    return stops


def time_price(instance: Instance) -> Array:
    """What the time of charging one kWh is worth, kappa / pile_kw, money/kWh, shape (M,). Eqs. (25), (30)."""
    pile = np.array([station.pile_kw for station in instance.stations], float)
    return np.asarray(instance.users.kappa_per_h / pile)


def plan_vertices(rules: PlanRules, price_low: Array, price_high: Array, *, slack: float = 0.0) -> Array:
    """The vertices that are optimal for some effective prices in the closed box; (V, n), kWh per stop.

    ``price_low``, ``price_high`` (n,): box of the stops' effective prices rho + kappa/pile_kw, money/kWh.
    Optimal is meant weakly (ties are kept). With ``slack`` > 0 [money] vertices within that distance of the
    optimum are kept too, and perhaps a few more: none is left out.
    """
    every = all_plan_vertices(rules)
    return np.asarray(every[_supported(rules, every, price_low, price_high, slack)])


def all_plan_vertices(rules: PlanRules) -> Array:
    """Every vertex of the plan polytope, shape (V, n), kWh per stop.

    A plan is a vertex if and only if between two consecutive cumulated amounts H_g that sit on a limit at
    most one stop is strictly between 0 and its cap, and none after the last of them. The stops are walked
    with at most one such open stop, which the next H_g on a limit then determines.
    """
    count = len(rules.stations)
    partials = [_Partial((), 0.0, None, 0.0, 0.0)]
    for i in range(count):
        partials = [longer for partial in partials for longer in _with_stop(partial, i, rules.cap[i])]
        if i + 1 == count or rules.group[i + 1] != rules.group[i]:
            partials = [checked for partial in partials for checked in _at_group_end(partial, rules, i)]
    grid = 10.0 * rules.tolerance
    found = {tuple(round(h / grid) for h in p.plan): p.plan for p in partials if p.open_stop is None}
    return np.array(list(found.values()), float).reshape(len(found), count)


@dataclass(frozen=True)
class _Partial:
    """A vertex under construction: energies so far, their sum, and the open stop with its interval."""

    plan: tuple[float, ...]
    total: float
    open_stop: int | None
    low: float
    high: float


def _with_stop(partial: _Partial, stop: int, cap: float) -> list[_Partial]:
    """Nothing at this stop, its cap, or left open."""
    plan, total = partial.plan, partial.total
    choices = [
        replace(partial, plan=(*plan, 0.0)),
        replace(partial, plan=(*plan, cap), total=total + cap),
    ]
    if partial.open_stop is None:
        choices.append(_Partial((*plan, 0.0), total, stop, 0.0, cap))
    return choices


def _at_group_end(partial: _Partial, rules: PlanRules, stop: int) -> list[_Partial]:
    """Apply L_g <= H_g <= U_g after the group's last stop; an open stop stays open or puts H_g on a limit."""
    group, tolerance = rules.group[stop], rules.tolerance
    lower, upper = rules.lower[group] - partial.total, rules.upper[group] - partial.total
    opened = partial.open_stop
    if opened is None:
        return [partial] if lower <= tolerance and upper >= -tolerance else []
    low, high = max(partial.low, lower), min(partial.high, upper)
    if low > high + tolerance:
        return []
    kept = [replace(partial, low=low, high=high)]
    for amount in {lower, upper}:
        if low - tolerance <= amount <= high + tolerance:
            amount = min(max(amount, 0.0), rules.cap[opened])
            plan = (*partial.plan[:opened], amount, *partial.plan[opened + 1 :])
            kept.append(_Partial(plan, partial.total + amount, None, 0.0, 0.0))
    return kept


def _supported(rules: PlanRules, plans: Array, price_low: Array, price_high: Array, slack: float) -> Array:
    """Which plans (V, n) can prices of the box make optimal (within ``slack`` money)? A mask (V,).

    An exchange of at most s kWh from j to i must not gain more than the slack: p_j - p_i <= slack / s. With
    the box, and the fixed price 0 of energy not bought as node 0, these are difference constraints, solvable
    if and only if the graph of their right sides has no negative cycle (Floyd-Warshall).
    """
    steps = _exchange_steps(rules, plans)
    possible = steps > 10.0 * rules.tolerance
    limit = np.where(possible, slack / np.where(possible, steps, 1.0), np.inf)
    limit[:, 1:, 0] = np.minimum(limit[:, 1:, 0], price_high)
    limit[:, 0, 1:] = np.minimum(limit[:, 0, 1:], -price_low)
    for via in range(limit.shape[1]):
        limit = np.minimum(limit, limit[:, :, via, None] + limit[:, via, None, :])
    # A tie is a cycle of exactly 0, up to rounding; keeping too much would only be a route more.
    rounding = 1e-12 * max(1.0, float(np.abs(price_high).max(initial=0.0)))
    return np.asarray(np.diagonal(limit, axis1=1, axis2=2).min(axis=1) >= -rounding)


def _exchange_steps(rules: PlanRules, plans: Array) -> Array:
    """Most kWh that can move from j to i at each plan: (V, n+1, n+1), [v, j, i]; index 0 is "not bought".

    Moving from an earlier to a later stop lowers the H_g between them, the other way round raises them;
    towards "not bought" every H_g from the stop on falls, from it they rise.
    """
    count, group = plans.shape[1], rules.group
    in_group = np.equal.outer(np.array(group, int), np.arange(len(rules.lower))).astype(float)
    cumulated = np.cumsum(plans @ in_group, axis=1)
    falls, rises = cumulated - np.array(rules.lower), np.array(rules.upper) - cumulated
    more = np.array(rules.cap) - plans
    steps = np.zeros((len(plans), count + 1, count + 1))
    for j in range(count):
        steps[:, j + 1, 0] = np.minimum(plans[:, j], falls[:, group[j] :].min(axis=1))
        steps[:, 0, j + 1] = np.minimum(more[:, j], rises[:, group[j] :].min(axis=1))
        for i in range(count):
            if i != j:
                first, last = min(group[j], group[i]), max(group[j], group[i])
                between = (falls if group[j] < group[i] else rises)[:, first:last]
                step = np.minimum(plans[:, j], more[:, i])
                steps[:, j + 1, i + 1] = np.minimum(step, between.min(axis=1, initial=np.inf))
    return steps
