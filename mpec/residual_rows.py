"""Residual flow of one hour: vehicle-hours by pair (24), or of all pairs together where nothing is carried on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mpec.envelopes import NARROW, roomy
from mpec.expression import Expression, add_row

if TYPE_CHECKING:
    from mpec.hour_model import HourBuilder


def add_residual_rows(builder: HourBuilder) -> None:
    """(24): r = eta V, V = sum_a x_{a,rs} t_a + what doesn't vary; the sum over all pairs is convex."""
    model, block = builder.model, builder.block
    if builder.instance.users.xi == 0.0:
        _hours_together(builder)
        return
    eta = builder.instance.residual_rate
    total = {n: Expression().add(block.hours[n], -1.0) for n in builder.pairs}
    for n in builder.pairs:
        mine = builder.routes_of(n)
        total[n].add_all(block.route_flow[mine], builder.fixed_h[mine])
    _delays(builder, total)
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


def _delays(builder: HourBuilder, total: dict[int, Expression]) -> None:
    """Vehicle-hours on roads that several pairs use: a pair's at the roads' least times, and its delay.

    The delay  sum_a x_a (t_a - fast_a)  is one column a pair, its McCormick rows those of the roads summed up; the
    delays of all pairs together are what the roads' own vehicle-hours leave. Rows road by road bound hardly better
    (0.1 money of 60 in the bundled day's dearest hours) and cost three times as much.
    """
    model, block, routes, box = builder.model, builder.block, builder.routes, builder.box
    together, stray = Expression(), NARROW
    both, by_flow, by_time = ({n: Expression() for n in builder.pairs} for _ in range(3))
    sharing: set[int] = set()
    for a in builder.varying:
        fast, slow, time = float(builder.fast[a]), float(builder.slow[a]), block.time(int(a))
        users = [n for n in builder.pairs if (routes.on_road[builder.routes_of(n), a] > 0).any()]
        if len(users) == 1:
            total[users[0]].add(block.road_hours[a])
            continue
        together.add(block.road_hours[a], -1.0)
        stray += float(box.stray[builder.pairs].sum()) * slow
        sharing.update(users)
        for n in users:
            mine = builder.routes_of(n)
            mine = mine[routes.on_road[mine, a] > 0]
            flow, ones = block.route_flow[mine], np.ones(len(mine))
            most = min(float(box.high["route_flow"][mine].sum()), float(box.high["modified"][n]))
            total[n].add_all(flow, fast * ones)
            together.add_all(flow, fast * ones)
            # x (t - fast) with 0 <= x <= most, 0 <= t - fast <= slow - fast.
            both[n].add_all(flow, (slow - fast) * ones).plus(time, most).shift(-most * slow)
            by_flow[n].add_all(flow, (slow - fast) * ones)
            by_time[n].plus(time, most).shift(-most * fast)
    for n in sorted(sharing):
        most_delay = roomy(0.0, float(by_flow[n].interval(model)[1]))
        delay = model.add_variable(builder.name("delay", n), *most_delay)
        total[n].add(delay)
        together.add(delay)
        add_row(model, builder.name("delay_both", n), both[n].add(delay, -1.0), upper=0.0)
        add_row(model, builder.name("delay_flow", n), by_flow[n].add(delay, -1.0), lower=0.0)
        add_row(model, builder.name("delay_time", n), by_time[n].add(delay, -1.0), lower=0.0)
    if sharing:
        add_row(model, builder.name("delays"), together, -stray, 0.0)
