"""Value-function cuts: at given prices the users' equilibrium minimises Beckmann's potential.

    F(w; rho) = sum_a kappa int_0^{x_a} t_a + kappa (charging time) + outside_cost w_out + sum_m rho_m P_m

For every flow w' that serves the same demand F(w; rho) <= F(w'; rho). With sum rho P = sum_rs cmin Wmod -
kappa V - outside_cost w_out the left side is linear but for the convex potential, and the charging
time, the outside cost and the roads of constant time cancel:

    sum_rs cmin Wmod + kappa sum_a (B_a(x_a) - x_a t_a) <= F(w'; rho)

For xi > 0 the reference is scaled to the demand, w'_k Wmod / W': the potential is held by chords from
above, rho . P'(Wmod) by McCormick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from formulations.routes import RouteSet
from mpec.expression import Expression, add_row
from mpec.road_rows import potential

if TYPE_CHECKING:
    from mpec.hour_model import HourBuilder

Array = np.ndarray


@dataclass(frozen=True)
class Reference:
    """A reference flow, shares of each pair's demand over the enumerated routes, shape (R,).

    The shares of a pair sum to 1; any such vector gives a valid cut.
    """

    shares: Array


def add_value_cut(builder: HourBuilder, reference: Reference, index: int) -> None:
    """The cut of one reference flow, as one row (plus one column a pair where the demand can vary)."""
    block, box, routes = builder.block, builder.box, builder.routes
    instance = builder.instance
    kappa = instance.users.kappa_per_h
    shares = reference.shares.copy()
    for n in builder.pairs:
        mine = routes.pair == n
        total = float(shares[mine].sum())
        if abs(total - 1.0) > 1e-9:
            raise ValueError(
                f"the reference flow of pair {n} doesn't serve its demand (shares must sum to 1)"
            )
        shares[mine] /= total
    row = Expression(constant=-builder.allowance())
    for n in builder.pairs:
        row.add(block.bill[n])
    for a in builder.varying:
        row.plus(potential(builder, int(a)), kappa).add(block.road_hours[a], -kappa)
    # Roads: sum_a kappa B_a(sum_rs share_{a,rs} Wmod_rs), from above by the chord over the range of the flow.
    pair_share = np.zeros((len(instance.pairs), len(instance.roads)))
    np.add.at(pair_share, routes.pair, shares[:, None] * routes.on_road)
    low = sum((pair_share[n] * box.low["modified"][n] for n in builder.pairs), np.zeros(len(instance.roads)))
    high = sum(
        (pair_share[n] * box.high["modified"][n] for n in builder.pairs), np.zeros(len(instance.roads))
    )
    at_low, at_high = builder.roads.integral(low), builder.roads.integral(high)
    for a in np.flatnonzero(high > 0):
        width = high[a] - low[a]
        if width > 1e-9 * max(high[a], 1.0):
            slope = (at_high[a] - at_low[a]) / width
        else:
            # Too narrow for a chord: the steepest slope over the range is an upper bound as well.
            slope = float(builder.roads.time(high)[a])
        row.shift(-kappa * (at_low[a] - slope * low[a]))
        for n in builder.pairs:
            if pair_share[n, a]:
                row.add(block.modified[n], -kappa * slope * pair_share[n, a])
    row.shift(-_flat_roads(builder))
    for n in builder.pairs:
        mine = np.flatnonzero((routes.pair == n) & (shares > 0))
        fixed = float(np.dot(shares[mine], kappa * routes.charging_h[mine] + routes.outside_cost[mine]))
        row.add(block.modified[n], -fixed)
        kwh = shares[mine] @ routes.plan_kwh[mine]
        row.plus(_scaled_bill(builder, index, n, kwh), -1.0)
    add_row(builder.model, builder.name("value_cut", index), row, upper=0.0)


def _flat_roads(builder: HourBuilder) -> float:
    """What kappa (B_a(x) - x t_a) of the roads without columns can be below 0, summed.

    B - x t >= -x (t - t(0)), and >= B(low) - high t(high) where the flow hardly varies.
    """
    flat = np.ones(len(builder.slow), dtype=bool)
    flat[builder.varying] = False
    low, high = builder.box.low["road_flow"], builder.box.high["road_flow"]
    empty = builder.roads.time(np.zeros(len(builder.slow)))
    lost = np.minimum(high * (builder.slow - empty), high * builder.slow - builder.roads.integral(low))
    return float(builder.instance.users.kappa_per_h * np.maximum(lost, 0.0)[flat].sum())


def _scaled_bill(builder: HourBuilder, index: int, n: int, kwh: Array) -> Expression:
    """An upper bound of Wmod * sum_m rho_m kwh_m as an expression (exact where Wmod is a constant)."""
    model, block, box = builder.model, builder.block, builder.box
    bill = Expression().add_all(block.price, kwh)
    low, high = float(box.low["modified"][n]), float(box.high["modified"][n])
    if high - low <= 1e-12 * max(high, 1.0):
        scaled = Expression()
        return scaled.plus(bill, high)
    b_low, b_high = bill.interval(model)
    corners = (low * b_low, low * b_high, high * b_low, high * b_high)
    value = model.add_variable(builder.name("reference_bill", f"{index}.{n}"), min(corners), max(corners))
    over = Expression().plus(bill, high).add(block.modified[n], b_low).shift(-high * b_low).add(value, -1.0)
    add_row(model, builder.name("reference_bill.high", f"{index}.{n}"), over, lower=0.0)
    over = Expression().plus(bill, low).add(block.modified[n], b_high).shift(-low * b_high).add(value, -1.0)
    add_row(model, builder.name("reference_bill.low", f"{index}.{n}"), over, lower=0.0)
    return Expression().add(value)


def shares_of(routes_pair: Array, flows: Array, pairs: int) -> Array:
    """Shares of each pair's total from route flows (R,); a pair without flow keeps zeros."""
    total = np.zeros(pairs)
    np.add.at(total, routes_pair, flows)
    each = total[routes_pair]
    return np.asarray(np.where(each > 0, np.maximum(flows, 0.0) / np.where(each > 0, each, 1.0), 0.0))


def complete_shares(routes: RouteSet, shares: Array, cost: Array) -> Array:
    """Give every pair without flow all of its share on its cheapest route, so that the cut serves
    everybody."""
    out = shares.copy()
    for n in np.unique(routes.pair):
        mine = np.flatnonzero(routes.pair == n)
        total = out[mine].sum()
        if total <= 0:
            out[mine[int(np.argmin(cost[mine]))]] = 1.0
        else:
            out[mine] /= total
    return np.asarray(out)
