"""Road times (29): values, integral, derivative, shapes and special exponents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from formulations.congestion import RoadCost, road_time, road_time_derivative, road_time_integral
from instances.model import Instance, Road

ROADS = (
    Road("plain", "1", "2", 1.0, 0.5, 100.0, 1.0),
    Road("linear", "1", "2", 1.0, 0.5, 100.0, 1.0, 1.0, 1.0),
    Road("constant", "1", "2", 1.0, 0.5, 100.0, 1.0, 0.3, 0.0),
    Road("background", "1", "2", 1.0, 0.5, 100.0, 1.0, 0.15, 4.0, 40.0),
    Road("free", "1", "2", 1.0, 0.5, 100.0, 1.0, 0.0, 2.5),
)


@pytest.fixture(scope="module")
def roads(game: Instance) -> Instance:
    return replace(game, roads=ROADS)


def test_times_by_hand(roads: Instance) -> None:
    """At 100 veh/h: 0.5 * 1.15, 0.5 * 2, 0.5 * 1.3, 0.5 (1 + 0.15 * 1.4^4), 0.5."""
    expected = [0.575, 1.0, 0.65, 0.5 * (1.0 + 0.15 * 1.4**4), 0.5]
    assert road_time(roads, np.full(5, 100.0)) == pytest.approx(expected, rel=1e-15)


def test_integral_is_the_quadrature_of_the_time(roads: Instance) -> None:
    for flow in (0.0, 17.0, 130.0):
        integral = road_time_integral(roads, np.full(5, flow))
        for a in range(5):
            time = lambda x, a=a: road_time(roads, np.full(5, x))[a]  # noqa: E731
            assert integral[a] == pytest.approx(quad(time, 0.0, flow)[0], rel=1e-12, abs=1e-13)


def test_derivative_is_the_slope_of_the_time(roads: Instance) -> None:
    flow, step = np.array([30.0, 60.0, 90.0, 120.0, 20.0]), 1e-4
    slope = (road_time(roads, flow + step) - road_time(roads, flow - step)) / (2.0 * step)
    assert road_time_derivative(roads, flow) == pytest.approx(slope, rel=1e-7, abs=1e-12)


def test_columns_are_evaluated_one_by_one(roads: Instance) -> None:
    flows = np.random.default_rng(0).uniform(0.0, 200.0, (5, 7))
    cost = RoadCost.of(roads)
    for function in (cost.time, cost.integral, cost.derivative):
        table = function(flows)
        assert table.shape == (5, 7)
        for k in range(7):
            assert np.array_equal(table[:, k], function(flows[:, k]))


def test_rounding_errors_below_an_empty_road_stay_finite(roads: Instance) -> None:
    """With exponent 2.5 a negative flow would have no power; it counts as an empty road."""
    odd = replace(roads, roads=(replace(ROADS[0], bpr_beta=2.5),))
    assert road_time(odd, np.array([-1e-14]))[0] == 0.5
    assert road_time_integral(odd, np.array([-2.0]))[0] == pytest.approx(-1.0)


def test_a_number_that_is_none_stays_none(roads: Instance) -> None:
    assert np.isnan(road_time(roads, np.full(5, np.nan))[0])
