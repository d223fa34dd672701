"""What rivals pay for their electricity, from above: under tariff `dlmp` the leader pays the bill without it.

Strong duality gives the bill of all stations, sum_m c_m P_m; the leader's is what is left without the rivals' share.
V(P), the operator's optimal cost, is convex with the prices as its slopes. Two ways to hold the leader's bill
from below, both valid for every load in the hour's box:

    (a) bill >= V(P) - V(0, P_rivals): the slope at P, in the direction of the leader's loads. V(P) by tangents;
        V(0, P_rivals) <= sum_i theta_i V(0, P_i) with P_rivals = sum_i theta_i P_i over points around the box.
    (b) bill = sum_m c_m P_m - sum_rivals c_m P_m with the operator's conditions: c_m by the multipliers, every
        product over pieces of the price c_m (McCormick). Breakpoints at prices that occur make it exact there.

Nothing here is stored with a bound: box and instance give the same rows again.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np

from formulations.prices import owned
from instances.model import Instance
from mpec.envelopes import breakpoints, piecewise_product, roomy
from mpec.expression import Expression, add_row
from mpec.followers.dispatch import DispatchSolver
from mpec.tolerances import BOUND_MARGIN

if TYPE_CHECKING:
    from mpec.hour_model import HourBuilder

Array = np.ndarray

MOST_CORNERS = 5
"""Up to so many rivals the corners of their loads' box are taken, beyond that a simplex around it."""

MOST_PRICES = 6
"""Breakpoints of a rival's price: those that occur at most of the loads looked at."""

DEEPEST = 1e3
"""A price whose derived floor lies deeper than this many times VOLL below 0 is held by its ceiling alone."""

_kept: list[tuple[weakref.ReferenceType[Instance], DispatchSolver]] = []


def operator_of(instance: Instance) -> DispatchSolver:
    """This process's solver of the operator's programs, kept for the instances met last."""
    for known, solver in _kept:
        if known() is instance:
            return solver
    _kept.insert(0, (weakref.ref(instance), DispatchSolver(instance)))
    del _kept[3:]
    return _kept[0][1]


def cost_without_leader(builder: HourBuilder) -> tuple[Expression, float]:
    """(a) V(0, P_rivals) from above, money per period: an expression over the model, and its largest value.

    Without rivals (or where they have no load) the number V(0).
    """
    instance, box = builder.instance, builder.box
    rivals = np.flatnonzero(owned(instance) == 0.0)
    low, high = box.low["load"][rivals], box.high["load"][rivals]
    if not (high > 0.0).any():
        return Expression(constant=builder.state.idle_cost), builder.state.idle_cost
    points = _around(low, high)
    loads = np.zeros((len(points), len(instance.stations)))
    loads[:, rivals] = points
    values = instance.period_h * operator_of(instance).prices(builder.state.t, loads)[1]
    values = values + BOUND_MARGIN * (1.0 + np.abs(values))
    model, name = builder.model, builder.name
    theta = model.add_variables((name("rival_load", i) for i in range(len(points))), 0.0, 1.0)
    add_row(model, name("rival_loads"), Expression().add_all(theta, np.ones(len(theta))), 1.0, 1.0)
    for i, m in enumerate(rivals):
        row = Expression().add(builder.block.load[m]).add_all(theta, -points[:, i])
        add_row(model, name("rival_load", instance.stations[m].id), row, 0.0, 0.0)
    return Expression().add_all(theta, values), float(values.max())


def _around(low: Array, high: Array) -> Array:
    """Points (K, R) whose hull holds the box, which is widened as columns of the model are."""
    ends = np.array([roomy(float(a), float(b)) for a, b in zip(low, high, strict=True)])
    low, high = np.maximum(ends[:, 0], 0.0), ends[:, 1]
    count = len(low)
    if count <= MOST_CORNERS:
        bits = (np.arange(2**count)[:, None] >> np.arange(count)) % 2
        return np.asarray(low + bits * (high - low))
    return np.asarray(low + np.vstack([np.zeros(count), count * np.diag(high - low)]))


def rivals_share(builder: HourBuilder, prices: tuple[Expression, ...]) -> Expression:
    """(b) sum over rivals of dV/dP_m P_m, money per period, from above, as an expression over new columns."""
    instance, block, box, model = builder.instance, builder.block, builder.box, builder.model
    ceiling = instance.feeder.voll_per_kwh * instance.period_h
    ceiling += BOUND_MARGIN * (1.0 + ceiling)
    total = Expression()
    found: Array | None = None
    for m in np.flatnonzero(owned(instance) == 0.0):
        load = float(box.low["load"][m]), float(box.high["load"][m])
        if load[1] <= 0.0:
            continue
        low, high = prices[m].interval(model)
        high = min(high, ceiling)
        if not low >= -DEEPEST * ceiling:
            total.add(block.load[m], ceiling)
            continue
        station = instance.stations[m].id
        low, high = roomy(min(low, high), high)
        price = model.add_variable(builder.name("rival_price", station), low, high)
        add_row(model, builder.name("rival_price", station), prices[m].copy().add(price, -1.0), 0.0, 0.0)
        corners = np.outer([low, high], roomy(*load))
        share = model.add_variable(
            builder.name("rival_share", station), *roomy(float(corners.min()), float(corners.max()))
        )
        if found is None:
            found = _prices_met(builder)
        points = breakpoints(low, high, _commonest(found[:, m]))
        piecewise_product(
            model,
            builder.name("rival_share", station),
            share,
            price,
            int(block.load[m]),
            points,
            roomy(*load),
        )
        total.add(share)
    return total


def _prices_met(builder: HourBuilder) -> Array:
    """dV/dP (K, M), money per kW, at some loads of the box: the same ones whenever the box is the same."""
    low, high = builder.box.low["load"], builder.box.high["load"]
    rng = np.random.default_rng(builder.state.t)
    shares = np.vstack([np.linspace(0.0, 1.0, 9)[:, None] * np.ones(len(low)), rng.random((24, len(low)))])
    loads = low + shares * (high - low)
    met = operator_of(builder.instance).prices(builder.state.t, loads)[0]
    return np.asarray(builder.instance.period_h * met)


def _commonest(prices: Array) -> list[float]:
    values, counts = np.unique(np.round(prices, 9), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_PRICES]
    return sorted(float(v) for v in values[order])
