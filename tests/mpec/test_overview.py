"""What `mpec show` tells: sizes as in the files, and mechanisms only where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import instances
import mpec
from mpec import overview
from mpec.equilibrium import Point


@pytest.fixture(scope="module")
def game() -> instances.Instance:
    return instances.load("two-period-residual")


@pytest.fixture(scope="module")
def point(game: instances.Instance) -> Point:
    found = mpec.respond(game, overview.middle_prices(game)).point
    assert found is not None
    return found


def cases(game: instances.Instance, point: Point) -> dict[str, overview.Mechanism]:
    """Mechanisms by the first word of their name."""
    return {mechanism.name.split(":")[0]: mechanism for mechanism in overview.mechanisms(game, point)}


def test_middle_prices_respect_the_mean_cap():
    game = instances.load("ieee33-road16")
    prices = overview.middle_prices(game)
    for station, row in zip(game.stations, prices, strict=True):
        assert station.price_mean_max is not None
        assert row.mean() <= station.price_mean_max + 1e-12
        assert np.ptp(row) == 0.0


def test_sizes_are_those_of_the_files():
    sizes = overview.sizes(instances.load("ieee33-road16").select(periods=(8, 10), xi=0.25))
    assert sizes["buses"] == 33
    assert sizes["lines"] == 32
    assert sizes["road nodes"] == 16
    assert sizes["residual share xi"] == 0.25
    assert sizes["periods"] == "3 of 1 h (8 ... 10)"


def test_a_slow_road_counts_only_while_it_is_used(game: instances.Instance, point: Point):
    free = np.array([road.free_flow_h for road in game.roads])[:, None]
    slow = replace(point, road_time_h=1.5 * free * np.ones_like(point.road_flow))
    empty = replace(slow, road_flow=np.zeros_like(point.road_flow))
    used = int((point.road_flow > 1e-6).sum())
    assert used > 0
    assert cases(game, slow)["congestion"].cases == used
    assert "50 % slower" in cases(game, slow)["congestion"].example
    assert cases(game, empty)["congestion"].cases == 0


def test_a_bus_price_apart_from_the_root_s_shows_a_feeder_limit(game: instances.Instance, point: Point):
    prices = point.price_active.copy()
    flat = replace(point, price_active=np.ones_like(prices))
    assert cases(game, flat)["feeder limits"].cases == 0
    prices[:] = 1.0
    prices[0, 1, -1] = 1.5
    moved = cases(game, replace(point, price_active=prices))["feeder limits"]
    assert moved.cases == 1
    assert moved.periods == (game.periods[1].id,)


def test_a_station_at_capacity_is_found(game: instances.Instance, point: Point):
    load = point.load_kw * 0.0
    load[0, 0] = game.stations[0].capacity_kw
    assert cases(game, replace(point, load_kw=load))["station limits"].cases == 1
    assert cases(game, replace(point, load_kw=0.99 * load))["station limits"].cases == 0


def test_period_spans_are_joined():
    assert overview.spans((7, 8, 9, 10, 18)) == "7-10, 18"
    assert overview.spans(()) == ""
