"""Roads as curves in space: planes that no point of the curve violates, and what they are worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import instances
from formulations.routes import route_set
from mpec.hour_dispatch import hour_dispatch
from mpec.hour_model import HourBuilder
from mpec.hour_state import HourState, first_states
from mpec.linear_model import LinearModel
from mpec.road_rows import SHARES, Road, potential

LONG = np.longdouble


def builder_of(
    alpha: float, beta: float, background: float, low: float, high: float, capacity: float = 260.0
) -> tuple[HourBuilder, int]:
    """The rows of a small game's hour whose first varying road is the given one."""
    game = instances.load("two-period-residual")
    index = int(next(iter(route_set(game).routes[0].roads)))
    roads = tuple(
        replace(
            road,
            bpr_alpha=alpha,
            bpr_beta=beta,
            background_veh_per_h=background,
            capacity_veh_per_h=capacity,
            free_flow_h=0.2,
        )
        if a == index
        else road
        for a, road in enumerate(game.roads)
    )
    routes = route_set(replace(game, roads=roads))
    state: HourState = first_states(routes)[0]
    box = state.box.copy()
    box.low["road_flow"][index], box.high["road_flow"][index] = low, high
    dispatch = hour_dispatch(routes.instance, 0, box.high["load"], False)
    return HourBuilder(LinearModel("road", maximise=True), routes, replace(state, box=box), dispatch), index


def truth(
    points: np.ndarray, alpha: float, beta: float, background: float, capacity: float = 260.0
) -> tuple[np.ndarray, np.ndarray]:
    """t and x t, written down anew with more digits."""
    x = points.astype(LONG)
    t = LONG(0.2) * (1 + LONG(alpha) * ((x + LONG(background)) / LONG(capacity)) ** LONG(beta))
    return t, x * t


def column(builder: HourBuilder, a: int, t: np.ndarray) -> np.ndarray:
    """What the time's column is at times t, h."""
    return np.asarray((t - LONG(builder.least_time[a])) / LONG(builder.time_unit[a]))


CASES = [
    (alpha, beta, background, low, high)
    for alpha in (0.15, 2.0)
    for beta in (1.0, 1.3, 2.0, 4.0, 7.5)
    for background in (0.0, 205.0, 5000.0)
    for low, high in ((0.0, 60.0), (0.0, 3000.0), (11.5, 12.5), (300.0, 320.0), (1e-3, 0.1))
]
# Times that hardly rise, hardly bend, or both.
CASES += [
    (alpha, beta, background, 0.0, 60.0)
    for alpha in (1e-3, 3e-7)
    for beta in (1.0 + 1e-7, 1.003, 1.05, 6.0)
    for background in (0.0, 50.0)
    if (alpha, beta) != (3e-7, 6.0)  # such a time does not vary at all
]


@pytest.mark.parametrize(("alpha", "beta", "background", "low", "high"), CASES)
def test_no_point_of_the_curve_violates_a_plane(
    alpha: float, beta: float, background: float, low: float, high: float
) -> None:
    builder, a = builder_of(alpha, beta, background, low, high)
    road = Road(builder, a, low, high)
    points = low + np.array(SHARES) * (high - low)
    x = np.unique(np.concatenate([np.linspace(low, high, 4001), points]))
    t, g = truth(x, alpha, beta, background)
    t = column(builder, a, t)
    for below in (True, False):
        for constant, by_flow, by_time in road.planes(points, below=below):
            plane = LONG(constant) + LONG(by_flow) * x.astype(LONG) + LONG(by_time) * t
            slack = g - plane if below else plane - g
            assert float(slack.min()) >= 0.0
            # It touches: a plane that is far away everywhere would be valid, too, and worth nothing.
            assert float(slack.min()) <= 1e-9 * float(g.max() + abs(by_time) * t.max() + abs(by_flow) * high)
            # Nor are they made of what cancels.
            assert abs(by_time) * float(t.max() - t.min()) < 1e4 * float(g.max() - g.min())


def test_no_row_has_a_coefficient_of_next_to_nothing() -> None:
    """From an empty road t = p t' / (beta - 1) is where the slope by flow is 0; the point there gives way."""
    flow = 260.0 * (3.0 / 0.15) ** 0.25
    builder, a = builder_of(0.15, 4.0, 0.0, 0.0, 1000.0)
    road = Road(builder, a, 0.0, 1000.0)
    (_, level, steep, _) = road._touching(np.array([flow]), 0.0, True)
    assert abs(level[0]) < 1e-9 * steep[0]
    ((constant, by_flow, by_time),) = road.planes(np.array([flow]), below=True)
    assert abs(by_flow) > 1e-6 * by_time
    x = np.linspace(0.0, 1000.0, 4001)
    t, g = truth(x, 0.15, 4.0, 0.0)
    slack = g - LONG(constant) - LONG(by_flow) * x.astype(LONG) - LONG(by_time) * t
    assert 0.0 <= float(slack.min()) <= 1e-9 * float(g.max())


def test_there_are_planes_where_time_bends() -> None:
    builder, a = builder_of(0.15, 4.0, 205.0, 0.0, 60.0)
    road = Road(builder, a, 0.0, 60.0)
    points = 60.0 * np.array(SHARES)
    assert len(road.planes(points, below=True)) == len(road.planes(points, below=False)) == len(SHARES) - 1
    assert road.thick()
    straight, a = builder_of(0.15, 1.0, 205.0, 0.0, 60.0)
    assert Road(straight, a, 0.0, 60.0).planes(points, below=True) == []
    assert not Road(straight, a, 0.0, 60.0).thick()


@pytest.mark.parametrize(
    ("alpha", "beta", "background", "low", "high"), [case for case in CASES if case[4] - case[3] > 10.0]
)
def test_the_potential_is_the_integral(
    alpha: float, beta: float, background: float, low: float, high: float
) -> None:
    builder, a = builder_of(alpha, beta, background, low, high)
    assert a in builder.varying
    builder.block = builder._columns()
    block, found = builder.block, potential(builder, a)
    for x in np.linspace(low, high, 7):
        t, g = truth(np.array([x]), alpha, beta, background)
        values = np.zeros(builder.model.columns)
        values[block.road_flow[a]], values[block.road_time[a]] = x, float(column(builder, a, t)[0])
        values[block.road_hours[a]] = float(g[0])
        step = LONG(alpha) * LONG(0.2) / LONG(260.0) ** LONG(beta) / LONG(beta + 1.0)
        y, y0 = LONG(x) + LONG(background), LONG(background)
        exact = LONG(0.2) * LONG(x) + step * (y ** LONG(beta + 1.0) - y0 ** LONG(beta + 1.0))
        size = float(g[0]) + background * float(t[0])
        assert found.value(values) == pytest.approx(float(exact), abs=1e-13 * size + 1e-15)


def test_planes_hold_a_road_that_is_now_full_now_empty() -> None:
    """The point that tangents and chords allow: the time of half the cars always, the hours of an even flow."""
    builder, a = builder_of(0.15, 4.0, 205.0, 0.0, 60.0)
    road = Road(builder, a, 0.0, 60.0)
    x, ends = np.array([20.0]), np.array([0.0, 60.0])
    time = float(np.interp(20.0, ends, road.time(ends)))
    hours = float(road.hours(x)[0])
    planes = road.planes(60.0 * np.array(SHARES), below=True)
    needed = max(constant + by_flow * 20.0 + by_time * time for constant, by_flow, by_time in planes)
    mixture = float(np.interp(20.0, ends, road.hours(ends)))
    assert needed > hours + 0.9 * (mixture - hours)
