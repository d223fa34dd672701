"""Residual flow of one hour: vehicle-hours by pair (24), or of all pairs together where nothing is carried on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mpec.envelopes import NARROW, product, roomy
from mpec.expression import Expression, add_row

if TYPE_CHECKING:
    from mpec.hour_model import HourBuilder


def add_residual_rows(builder: HourBuilder) -> None:
    """(24): r = eta V, V = sum_a x_{a,rs} t_a + what doesn't vary; sum over pairs of x t is convex."""
    model, block, routes = builder.model, builder.block, builder.routes
    if builder.instance.users.xi == 0.0:
        _hours_together(builder)
        return
    eta = builder.instance.residual_rate
    total = {n: Expression().add(block.hours[n], -1.0) for n in builder.pairs}
    for n in builder.pairs:
        mine = builder.routes_of(n)
        total[n].add_all(block.route_flow[mine], builder.fixed_h[mine])
    for a in builder.varying:
        users = [n for n in builder.pairs if (routes.on_road[builder.routes_of(n), a] > 0).any()]
        if len(users) == 1:
            total[users[0]].add(block.road_hours[a])
            continue
        shared = Expression().add(block.road_hours[a], -1.0)
        for n in users:
            y = _shared_hours(builder, int(a), n)
            total[n].add(y)
            shared.add(y)
        stray = max(float(builder.box.stray[builder.pairs].sum()) * builder.slow[a], NARROW)
        add_row(model, builder.name("shared_hours", builder.instance.roads[a].id), shared, -stray, 0.0)
    for n in range(len(builder.instance.pairs)):
        if n not in total:
            model.add_row(builder.name("no_residual", n), [block.residual[n]], [1.0], 0.0, 0.0)
            continue
        over = float(builder.box.high["modified"][n]) * float(
            builder.over_h[builder.routes_of(n)].max(initial=0.0)
        )
        under = max(float(builder.box.stray[n]) * builder.stay_h, NARROW)
        add_row(model, builder.name("hours", n), total[n], -under, over)
        model.add_row(builder.name("residual", n), [block.residual[n], block.hours[n]], [1.0, -eta], 0.0, 0.0)


def _hours_together(builder: HourBuilder) -> None:
    """V of all pairs in one column: where nothing is carried on, who drives how long doesn't matter."""
    block, box = builder.block, builder.box
    total = Expression().add_all(block.route_flow[builder.used], builder.fixed_h[builder.used])
    for a in builder.varying:
        total.add(block.road_hours[a])
    over = under = NARROW
    for n in builder.pairs:
        over += float(box.high["modified"][n]) * float(builder.over_h[builder.routes_of(n)].max(initial=0.0))
        under += float(box.stray[n]) * builder.stay_h
    over += (
        float(box.stray[builder.pairs].sum() * builder.slow[builder.varying].sum()) if builder.pairs else 0.0
    )
    most = max(total.interval(builder.model)[1], 0.0) + under
    hours = builder.model.add_variable(builder.name("all_hours"), *roomy(0.0, float(most)))
    add_row(builder.model, builder.name("all_hours"), total.add(hours, -1.0), -under, over)
    block.revenue.add(hours, -builder.instance.period_h * builder.instance.users.kappa_per_h)


def _shared_hours(builder: HourBuilder, a: int, n: int) -> int:
    """A column for x_{a,n} t_a on a road that several pairs use: McCormick over the road's time."""
    model, block, routes = builder.model, builder.block, builder.routes
    mine = builder.routes_of(n)
    mine = mine[routes.on_road[mine, a] > 0]
    name = f"{builder.instance.roads[a].id}.{n}"
    high = min(float(builder.box.high["route_flow"][mine].sum()), float(builder.box.high["modified"][n]))
    x = model.add_variable(builder.name("pair_flow", name), 0.0, high)
    row = Expression().add(x, -1.0).add_all(block.route_flow[mine], np.ones(len(mine)))
    add_row(model, builder.name("pair_flow", name), row, 0.0, 0.0)
    y = model.add_variable(builder.name("pair_hours", name), 0.0, high * builder.slow[a])
    box = (0.0, high, float(builder.fast[a]), float(builder.slow[a]))
    product(model, builder.name("pair_hours", name), y, x, int(block.road_time[a]), box)
    return y
