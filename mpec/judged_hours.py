"""What a judged point says hour by hour: no interval may exclude it, no hour's bound may lie below it.

A judged day is feasible in every hour's relaxation, also under every cutoff that it reaches. So for any
multipliers an hour's bound is at least what the day earns there,

    l_t = profit_t - cap.rho_t - link_t.incoming_t + link_{t+1}.residual_t [- dt c~_t.P_t],

and a solver's bound below that is false, however good the day's sum looks. Sharper than lower <= upper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from formulations.charging_plan import ENERGY_ROUNDING
from formulations.prices import owned
from formulations.route_reading import ReadRoute
from formulations.routes import RouteSet
from formulations.traffic import incoming_residual
from mpec.checks.equations import Answer, answer_of
from mpec.coupling import Multipliers
from mpec.equilibrium import Point
from mpec.tolerances import EPSILON

Array = np.ndarray

FLOOR = 1e-7
"""An hour's bound may lie below the judged value by this share of the money that moves in the hour."""

OUTSIDE = 10 * EPSILON
"""Relative to 1 or the size: a judged value further outside a stated interval shows the interval false."""


@dataclass(frozen=True)
class JudgedHour:
    """One hour of a judged day. ``values`` by the intervals' names; NaN where a quantity says nothing.

    profit  money of the hour; under tariff `regulated` the revenue alone, as the bill couples the hours.
    size    money that moves in the hour, for tolerances
    own     (M,) 1 for the leader's stations, 0 for rivals'
    """

    t: int
    values: Mapping[str, Array]
    profit: float
    size: float
    own: Array

    def lagrangian(self, multipliers: Multipliers, period_h: float) -> tuple[float, float]:
        """(l_t, the sum of the absolute terms)."""
        price, incoming = self.values["price"], self.values["incoming"]
        terms = [-multipliers.cap * price, -multipliers.link[:, self.t] * incoming]
        if self.t + 1 < multipliers.link.shape[1]:
            terms.append(multipliers.link[:, self.t + 1] * self.values["residual"])
        if multipliers.tariff is not None:
            terms.append(-period_h * multipliers.tariff[:, self.t] * self.own * self.values["load"])
        total = self.profit + float(sum(part.sum() for part in terms))
        return total, self.size + float(sum(np.abs(part).sum() for part in terms))


def judged_hours(routes: RouteSet, point: Point) -> list[JudgedHour]:
    """The hours of a point that the judge accepts (its equations are taken for granted here)."""
    instance = routes.instance
    answer = answer_of(instance, point)
    traffic, prices = answer.traffic, np.asarray(point.prices, float)
    bill_price = np.asarray(point.electricity_price, float)
    incoming = incoming_residual(instance, traffic.residual)
    flows, known = _route_flows(routes, answer)
    own, hours = owned(instance), []
    for t in range(len(instance.periods)):
        price, load = prices[:, t], traffic.load_kw[:, t]
        cheapest = _cheapest(answer, len(instance.pairs), t)
        dt = instance.period_h
        income, bill = dt * float(price @ (own * load)), dt * float(bill_price[:, t] @ (own * load))
        values = {
            "price": price, "load": load, "incoming": incoming[:, t], "residual": traffic.residual[:, t],
            "modified": traffic.vehicles[:, t], "road_flow": traffic.road_flow[:, t], "cheapest": cheapest,
            "route_flow": flows[:, t] if known else np.full(len(flows), np.nan),
            "slack": _slack(routes, price, traffic.road_time_h[:, t], cheapest),
        }  # fmt: skip
        profit = income if instance.tariff_mode == "regulated" else income - bill
        hours.append(JudgedHour(t, values, profit, abs(income) + abs(bill) + 1.0, own))
    return hours


def _cheapest(answer: Answer, pairs: int, t: int) -> Array:
    """cmin (N,) as stated with the used routes (the judge has recomputed it); NaN where nobody travels."""
    out = np.full(pairs, np.nan)
    for route in answer.routes:
        if route.period == t and route.flow > 0.0:
            out[route.pair] = route.cheapest_cost
    return out


def _slack(routes: RouteSet, price: Array, time: Array, cheapest: Array) -> Array:
    """c - cmin of every enumerated route (R,), money; NaN where nobody of its pair travels."""
    kappa = routes.instance.users.kappa_per_h
    hours = np.where(routes.outside, 0.0, routes.on_road @ time + routes.charging_h)
    cost = kappa * hours + routes.plan_kwh @ price + routes.outside_cost
    return np.asarray(cost - cheapest[routes.pair])


def _route_flows(routes: RouteSet, answer: Answer) -> tuple[Array, bool]:
    """(R, T) flows over the enumerated routes, and whether every used route is one of them."""
    place: dict[tuple[int, tuple[int, ...], bool], list[int]] = {}
    for k, listed in enumerate(routes.routes):
        place.setdefault((listed.pair, tuple(listed.roads), listed.outside), []).append(k)
    flows = np.zeros((len(routes.routes), len(routes.instance.periods)))
    known = True
    for route in answer.routes:
        found = [
            k for k in place.get((route.pair, route.roads, route.outside), []) if _same_plan(routes, k, route)
        ]
        if found:
            flows[found[0], route.period] += route.flow
        elif route.flow > 0.0:
            known = False
    return flows, known


def _same_plan(routes: RouteSet, k: int, route: ReadRoute) -> bool:
    stated, listed = dict(route.plan), dict(routes.routes[k].plan)
    rounding = 10.0 * ENERGY_ROUNDING * max(1.0, abs(routes.instance.pairs[route.pair].max_kwh))
    return all(
        abs(stated.get(m, 0.0) - listed.get(m, 0.0)) <= rounding for m in stated.keys() | listed.keys()
    )


def excluded(hour: JudgedHour, low: Mapping[str, Array], high: Mapping[str, Array], usable: Array) -> str:
    """The first quantity of the judged hour that the intervals exclude, "" if there is none.

    A route that was dropped may not be used by more than the eps-game lets stray.
    """
    for quantity, value in hour.values.items():
        if quantity == "slack" or quantity not in low:
            continue
        room = OUTSIDE * np.maximum(1.0, np.abs(value))
        beyond = np.maximum(low[quantity] - value, value - high[quantity]) - room
        beyond = np.where(np.isnan(value), -np.inf, beyond)
        if len(beyond) and beyond.max() > 0.0:
            i = int(np.argmax(beyond))
            ends = float(low[quantity][i]), float(high[quantity][i])
            return f"{quantity}[{i}] is {value[i]:.9g}, the interval [{ends[0]:.9g}, {ends[1]:.9g}]"
    slack, flow = hour.values["slack"], hour.values["route_flow"]
    with np.errstate(invalid="ignore"):
        short = usable & (slack - high["slack"] > OUTSIDE * np.maximum(1.0, np.abs(slack)))
        lost = ~usable & (flow > OUTSIDE * np.maximum(1.0, hour.values["modified"].sum()))
    if short.any():
        k = int(np.argmax(short))
        return f"route {k} is dearer by {slack[k]:.9g}, its M is {float(high['slack'][k]):.9g}"
    if lost.any():
        return f"route {int(np.argmax(lost))} carries {flow[int(np.argmax(lost))]:.9g} veh/h, but was dropped"
    return ""


def false_bounds(
    hours: Sequence[JudgedHour], multipliers: Multipliers, bounds: Sequence[float], period_h: float
) -> list[int]:
    """Indices of the hours whose bound lies below what the judged day earns there: such a bound is false."""
    out = []
    for hour, bound in zip(hours, bounds, strict=True):
        value, size = hour.lagrangian(multipliers, period_h)
        if not bound >= value - FLOOR * size:
            out.append(hour.t)
    return out
